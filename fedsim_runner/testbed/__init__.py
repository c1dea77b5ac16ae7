"""Substrates that carry devices: containers on lab hosts, or plain processes."""
