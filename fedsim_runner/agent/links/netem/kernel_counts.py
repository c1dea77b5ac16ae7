"""What has passed each direction of links that the kernel holds, from its qdiscs' counters."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fedsim_runner.contract.link import INTERFACE, Link

from ...kernel import kernel_qdiscs, netlink, rtnetlink
from ...kernel.fan_out import give_way, in_each
from ...kernel.kernel_qdiscs import ROOT, QdiscCounters
from ..network.run_namespace import RunNamespace
from ..network.veth import DOWN, UP
from ..tally import Passed, Tally
from .qdisc import LOSES, OF_QUEUE, QUEUE_PARENT

_NONE = (0, 0, 0, 0)
Qdiscs = Mapping[int, QdiscCounters]  # of one interface, by what each is below


@dataclass(frozen=True)
class Direction:
    """One direction of a link; of an edge there may be several, one for each partition.

    Attributes:
        device: or the edge's name.
        way: ``up`` or ``down``.
        end: name of the interface with its qdiscs in the run's namespace; None: they are on the device's own.
        is_edge: it is one of an edge.
    """

    device: str
    way: str
    link: Link
    end: str | None
    is_edge: bool = False


@dataclass
class _Count:
    """What was read last of each end, which a new interface counts anew, and what is known by then."""

    tally: Tally = field(default_factory=Tally)
    last: dict[str | None, tuple[int, int, int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Channel:
    """To the namespace of a device, which costs less to keep than to enter every second; its interface's number."""

    namespace: str
    socket: socket.socket
    index: int


class KernelCounts:
    """Adds up what the qdiscs count; devices whose containers have ended keep what they had.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[tuple[str, str], _Count] = {}
        self._channels: dict[str, _Channel] = {}
        self._ports: dict[str, int] = {}  # numbers of the lab host's ends

    def read(
        self, directions: Sequence[Direction], namespaces: Mapping[str, str], network: RunNamespace, afresh: bool
    ) -> dict[tuple[str, str], Tally]:
        """Read the counters of these directions; ``afresh``: count from now on.

        Raises:
            OSError: the run's namespace is gone.
        """
        for one, now, qdiscs in self._find(directions, namespaces, network):
            self.add(one, qdiscs)
            tally = self._counts[one.device, one.way].tally
            if afresh:
                tally.start_again(now)
            else:
                tally.rate.look(now, tally.bytes, one.link.rate_bps)
        return {key: count.tally for key, count in self._counts.items()}

    def look(
        self, directions: Sequence[Direction], namespaces: Mapping[str, str], network: RunNamespace
    ) -> dict[tuple[str, str], Passed]:
        """Read the counters and queues of those of these directions whose devices run.

        Raises:
            OSError: the run's namespace is gone.
        """
        waiting: dict[tuple[str, str], int] = {}
        for one, _, qdiscs in self._find(directions, namespaces, network):
            self.add(one, qdiscs)
            key, queue = (one.device, one.way), qdiscs.get(QUEUE_PARENT)
            waiting[key] = waiting.get(key, 0) + (0 if queue is None else queue.backlog)
        tallies = {key: self._counts[key].tally for key in waiting}
        return {
            key: Passed(tally.bytes, tally.packets, tally.lost, tally.overflowed, waiting[key])
            for key, tally in tallies.items()
        }

    def add(self, one: Direction, qdiscs: Qdiscs) -> Tally:
        """Take note of one direction's qdiscs; return what it has come to."""
        count = self._counts.setdefault((one.device, one.way), _Count())
        read, last = _parse(qdiscs), count.last.get(one.end, _NONE)
        before = last if all(new >= old for new, old in zip(read, last, strict=True)) else _NONE
        packets, lost, overflowed, passed = (new - old for new, old in zip(read, before, strict=True))
        count.last[one.end] = read
        tally = count.tally
        tally.packets += packets
        tally.lost += lost
        tally.overflowed += overflowed
        tally.bytes += passed
        return tally

    def forget(self, device: str) -> None:
        """Release the device's namespace, which the channel would keep."""
        channel = self._channels.pop(device, None)
        if channel is not None:
            channel.socket.close()

    def stop(self) -> None:
        """Release all namespaces."""
        for device in list(self._channels):
            self.forget(device)

    def _find(
        self, directions: Sequence[Direction], namespaces: Mapping[str, str], network: RunNamespace
    ) -> Iterator[tuple[Direction, float, Qdiscs]]:
        """The directions that have qdiscs, when these were read, and these."""
        ups = self._read_ups(namespaces)
        ends = {one.end for one in directions if one.end and (one.is_edge or one.device in namespaces)}
        with network.inside():
            now, downs = self._clock(), kernel_qdiscs.qdisc_counters()
            if any(self._ports.get(end) not in downs for end in ends):
                self._ports = {name: port[0] for name, port in rtnetlink.ports().items()}
        for one in directions:
            if one.end is None:
                at, qdiscs = ups.get(one.device, (now, {}))
            else:
                at, qdiscs = now, downs.get(self._ports.get(one.end, 0), {})
            if ROOT in qdiscs:
                yield one, at, qdiscs

    def _read_ups(self, namespaces: Mapping[str, str]) -> dict[str, tuple[float, Qdiscs]]:
        for name, channel in list(self._channels.items()):
            if namespaces.get(name) != channel.namespace:
                self.forget(name)
        missing = {name: path for name, path in namespaces.items() if name not in self._channels}
        opened, _ = in_each(missing, lambda name: _open(missing[name]), workers=1)
        self._channels |= opened
        found: dict[str, tuple[float, Qdiscs]] = {}
        for name, channel in list(self._channels.items()):
            give_way()
            qdiscs = None
            with contextlib.suppress(OSError):
                qdiscs = kernel_qdiscs.qdisc_counters(channel.socket).get(channel.index)
            if qdiscs is None:
                self.forget(name)  # somebody has taken its interface away; there may be another the next time
            else:
                found[name] = self._clock(), qdiscs
        return found


def _open(namespace: str) -> _Channel:
    channel = netlink.open_channel()
    try:
        return _Channel(namespace, channel, rtnetlink.find_index(INTERFACE, channel))
    except OSError:
        channel.close()
        raise


def _parse(qdiscs: Qdiscs) -> tuple[int, int, int, int]:
    """Packets, those of them that were lost, those for which the queue had no room, and bytes that have passed.

    Each also counts what those below it drop.
    """
    root = qdiscs[ROOT]
    below = QUEUE_PARENT in qdiscs and not any(parent >> 16 == LOSES for parent in qdiscs)
    queues = [parent for parent in qdiscs if parent >> 16 in OF_QUEUE or (below and parent != ROOT)]
    overflowed = max((qdiscs[parent].dropped for parent in queues), default=0)
    return root.packets + root.dropped, max(0, root.dropped - overflowed), overflowed, root.bytes


def directions_of(device: str, up: Link, down: Link, end: str) -> list[Direction]:
    """Both directions of a device's link."""
    return [Direction(device, UP, up, None), Direction(device, DOWN, down, end)]
