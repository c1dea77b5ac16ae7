"""Devices on lab hosts: addresses, limits and the common cpu factor. Pure: same input, same plan."""
