"""Devices as containers on lab hosts, provisioned by Ansible."""
