"""Devices as plain processes on this machine: no limits, no links."""
