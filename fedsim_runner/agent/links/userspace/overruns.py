"""Packets that the kernel dropped because the packet process did not take them in time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...kernel.fan_out import in_each
from .queue_rule import QUEUE_NUMBER

_TABLE = Path("/proc/thread-self/net/netfilter/nfnetlink_queue")


class Overruns:
    """Counts them by device; those of a container that has ended count, too.

    Attributes:
        dropped: so many since the count began.
    """

    def __init__(self) -> None:
        self.dropped: dict[str, int] = {}
        self._seen: dict[str, tuple[str, int]] = {}  # in which namespace, and how many there

    def read(self, namespaces: Mapping[str, str], afresh: bool) -> None:
        """Look at these devices' queues; ``afresh``: count from now on."""
        found, _ = in_each(namespaces, lambda _: parse(_TABLE.read_text()), workers=1)
        for name, count in found.items():
            path = namespaces[name]
            before = self._seen.get(name, (path, 0))
            self._seen[name] = path, count
            new = count - before[1] if before[0] == path and count >= before[1] else count
            self.dropped[name] = self.dropped.get(name, 0) + new
        if afresh:
            self.dropped.clear()


def parse(table: str) -> int:
    """Return how many packets of the devices' queue were dropped because it, or its socket, was full.

    Its columns: number, port of the listener, packets waiting, how much of each is copied, and of how many bytes,
    dropped for the queue, dropped for the socket, last packet's number, 1.
    """
    for line in table.splitlines():
        columns = line.split()
        if len(columns) >= 7 and columns[0] == str(QUEUE_NUMBER):
            return int(columns[5]) + int(columns[6])
    return 0
