"""Which clients of a server are lost: those that the agent gives up, and those that accept no message."""

from __future__ import annotations

import logging
import queue
from typing import Any

from ..lost import LostClients
from .possible_policies import SERVER

logger = logging.getLogger(SERVER)


class Losses:
    """The lost clients of one server.

    Args:
        communication: the server's; its ``neighbors`` are the addresses of clients by id.
        clients: how many take part in the course.
        announced: who was given up by the agent; None: a course in which nobody is.

    Attributes:
        clients: how many took part at first.
        reasons: by device.
        gone: ids that are lost or will never be assigned.
    """

    def __init__(self, communication: Any, clients: int, announced: LostClients | None) -> None:
        self._communication = communication
        self._announced = announced
        self._unreachable: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
        self._addresses: set[str] = set()
        self.clients = clients
        self.reasons: dict[str, str] = {}
        self.gone: set[int] = set()

    def unreachable(self, client: int, reason: str) -> None:
        """Take note that a client accepts no messages. Any thread may call this."""
        self._unreachable.put((client, reason))

    def new(self, started: bool) -> list[tuple[str, int | None, str]]:
        """Device, id (None: it has not joined) and reason of clients lost since the last call.

        Args:
            started: all that take part have joined.
        """
        found: dict[str, tuple[int | None, str]] = {}
        if self._announced is not None:
            for device, reason in self._announced.new_losses().items():
                if not any(is_at(device, address) for address in self._addresses):
                    found[device] = self._id_of(device), reason
        while not self._unreachable.empty():
            client, reason = self._unreachable.get()
            if client in self._communication.neighbors:
                found.setdefault(self.device_of(client), (client, reason))
        unknown = [device for device, (client, _) in found.items() if client is None and started]
        for device in unknown:
            logger.warning(f"Server: {device} is reported as lost, but is not a client of this course")
            del found[device]
        return [(device, client, reason) for device, (client, reason) in found.items()]

    def has_lost(self, joining: Any) -> bool:
        """Whether a client was given up before its join, which waited here, was read."""
        address = f"{joining['host']}:{joining['port']}"
        return any(is_at(device, address) for device in self.reasons)

    def device_of(self, client: int) -> str:
        """The client's host, which is the device's name; with the port if several share a host."""
        neighbors = self._communication.neighbors
        host = neighbors[client].rpartition(":")[0]
        shared = sum(is_at(host, address) for address in neighbors.values()) > 1
        return str(neighbors[client] if shared else host)

    def add(self, device: str, client: int | None, reason: str) -> str | None:
        """Take note of a lost client; return its address, if it has joined."""
        self.reasons[device] = " ".join(reason.split())
        if client is None:
            return None
        address = str(self._communication.neighbors.pop(client))
        self._addresses.add(address)
        self.gone.add(client)
        return address

    @property
    def alive(self) -> int:
        """How many clients are left."""
        return self.clients - len(self.reasons)

    def _id_of(self, device: str) -> int | None:
        for client, address in self._communication.neighbors.items():
            if is_at(device, address):
                return int(client)
        return None


def is_at(device: str, address: str) -> bool:
    """Whether ``device``, a name or an address, is at ``address``."""
    return device in (address, address.rpartition(":")[0])
