"""Timing reference steps on lab hosts, in containers of an engine's image."""
