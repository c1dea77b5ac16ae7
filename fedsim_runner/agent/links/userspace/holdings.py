"""What the packet process holds: the queues of devices, the links of senders and receivers, and packets under way."""

from __future__ import annotations

import heapq
import select
import socket
from collections.abc import Mapping

from .counting import Held
from .crossings import Edges
from .device_queue import Queue
from .direction import Direction
from .lateness import Lateness

#: When what is due, a number that keeps those due at once in order, where, which packet, its size if it is to enter a
#: direction then (0: it leaves the downlink), the edge that it is to enter (None: the downlink), and the direction that
#: holds it until then (None: a sender's outside the run), whose bottleneck it leaves when.
Entry = tuple[float, int, Queue, int, int, Direction | None, Direction | None, float]


class Holdings:
    """The queues of all devices on a lab host, the directions in force, and the packets in them.

    Attributes:
        poll: waits for the queues.
        queues: by device.
        by_descriptor: the same queues.
        heap: packets under way; ``count``: how many there have been.
        ups: uplinks by the sender's packed address.
        downs: all downlinks so far, by device: a container that has ended counts, and one that is restarted goes on.
        edges: between sites.
        groups: of senders, by packed address.
        ways_s: of packets from other lab hosts, by the sender's.
        lateness: of the packets that were released since counting began.
    """

    def __init__(self) -> None:
        self.poll = select.epoll()
        self.queues: dict[str, Queue] = {}
        self.by_descriptor: dict[int, Queue] = {}
        self.heap: list[Entry] = []
        self.count = 0
        self.ups: dict[bytes, Direction] = {}
        self.downs: dict[str, Direction] = {}
        self.edges = Edges()
        self.groups: dict[bytes, str] = {}
        self.ways_s: dict[bytes, float] = {}
        self.lateness = Lateness()

    @property
    def directions(self) -> Held:
        """Those whose counters are read."""
        return Held(self.ups, self.downs, self.edges.shaped)

    def open(self, queue: Queue) -> None:
        """Listen to a device's queue."""
        self.queues[queue.device] = self.by_descriptor[queue.channel.fileno()] = queue
        self.poll.register(queue.channel, select.EPOLLIN)

    def close(self, queue: Queue) -> None:
        """Release a device's queue, with the packets in it."""
        if queue.guest is not None:
            self.edges.remove_guest(socket.inet_aton(queue.guest))
        self.poll.unregister(queue.channel)
        del self.by_descriptor[queue.channel.fileno()]
        del self.queues[queue.device]
        queue.channel.close()
        self.heap[:] = [entry for entry in self.heap if entry[2] is not queue]
        heapq.heapify(self.heap)

    def move(self, moved: Mapping[int, tuple[Direction, Direction]], now_s: float) -> None:
        """Have what is under way in directions that have changed leave as their new rates say."""
        last: dict[int, float] = {}
        for place, entry in enumerate(self.heap):
            due, count, queue, identity, size, edge, holder, left_s = entry
            if holder is None or id(holder) not in moved:
                continue
            before, after = moved[id(holder)]
            sooner_s = before.moved_s(left_s, now_s, after)
            due += sooner_s - left_s
            last[id(holder)] = max(due, last.get(id(holder), 0.0))
            self.heap[place] = (due, count, queue, identity, size, edge, after, sooner_s)
        for number, due in last.items():
            moved[number][1].last_leaves_at(due)
        if last:
            heapq.heapify(self.heap)
