"""A lab host as a value: a name, how to reach it, and what it can carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class LabHost:
    """What placement needs to know of a lab host. ``networks`` are IPv4 networks in use there, as text."""

    name: str
    cpus: float
    memory_bytes: int
    arch: str
    networks: tuple[str, ...] = ()
    gpus: int = 0
    connection: Literal["local", "ssh"] = "local"
    address: str | None = None
