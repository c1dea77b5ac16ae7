"""How modules reach the lab host's Docker Engine."""

from __future__ import annotations


class ModuleDocFragment:
    """For modules that call the Engine."""

    DOCUMENTATION = r"""
requirements: ["Docker SDK for Python", "Docker Engine 20.10 or newer"]
options:
  docker_host:
    description: URL of the Engine's socket.
    type: str
    default: unix:///var/run/docker.sock
"""
