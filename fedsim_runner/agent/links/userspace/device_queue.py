"""The queue of packets that arrive at one device, as the packet process holds it."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Any

from .direction import Direction


@dataclass
class Queue:
    """``received``, ``dropped``: packets so far; ``accepted``, ``refused``: those decided about, for the kernel."""

    device: str
    address: bytes
    namespace: tuple[int, int]
    channel: socket.socket
    down: Direction
    maxlen: int
    gso: bool
    site: str | None
    guest: str | None = None
    received: int = 0
    dropped: int = 0
    accepted: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)

    def described(self) -> dict[str, Any]:
        """What it is set to, with the link itself."""
        settings = {"maxlen": self.maxlen, "gso": self.gso, "site": self.site, "guest": self.guest}
        return {"address": socket.inet_ntoa(self.address), "down": self.down.link, **settings}
