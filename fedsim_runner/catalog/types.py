"""Device types and network profiles as values.

Rates are bit/s (block I/O: bytes/s), times microseconds, memory bytes. All values are frozen.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..contract.device_file import DISK_BYTES
from ..contract.link import Link, Links


@dataclass(frozen=True)
class NetworkProfile:
    """A named link: ``up`` is the device's egress, ``down`` its ingress."""

    name: str
    up: Link
    down: Link

    @property
    def links(self) -> Links:
        """Both directions, as other processes know them."""
        return Links(self.up, self.down)


@dataclass(frozen=True)
class DeviceType:
    """A hardware class. ``dockerfile``: its folder under dockerfiles/, or the absolute path of the user's folder."""

    name: str
    cpus: float
    memory_bytes: int
    arch: str  # Docker's names: amd64, arm64
    gpus: int
    pids: int
    network: str
    dockerfile: str
    disk_bytes: int = DISK_BYTES  # for what it writes
    read_bps: int | None = None  # block I/O, bytes per second
    write_bps: int | None = None
