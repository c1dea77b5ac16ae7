"""A lab host as a value: its name, how to reach it, and its capacity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class LabHost:
    """What placement needs to know of a lab host, and how plays and Engine calls reach it.

    Attributes:
        networks: IPv4 networks in use there, as text.
        connection: Ansible's connection plugin.
        address: the lab host's address for Ansible; None: its name.
        engine_url: where its Docker Engine listens, as seen from here; None: ``DOCKER_HOST`` if set, else the socket.
    """

    name: str
    cpus: float = 0.0
    memory_bytes: int = 0
    arch: str = ""
    networks: tuple[str, ...] = ()
    gpus: int = 0
    connection: Literal["local", "ssh"] = "local"
    address: str | None = None
    engine_url: str | None = None
