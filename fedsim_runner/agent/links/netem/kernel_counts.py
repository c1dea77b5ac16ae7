"""What has passed each direction of links that the kernel holds, from its qdiscs' counters."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fedsim_runner.contract.link import INTERFACE, Link

from .. import kernel_qdiscs, rtnetlink
from ..fan_out import in_each
from ..kernel_qdiscs import ROOT, QdiscCounters
from ..run_namespace import RunNamespace
from ..tally import Tally
from ..veth import DOWN, UP


@dataclass(frozen=True)
class Direction:
    """One direction of a device's link; ``end``: name of the lab host's end of its veth pair."""

    device: str
    way: str
    link: Link
    end: str


@dataclass
class _Count:
    """What was read last, which a new interface counts anew, and what is known by then."""

    tally: Tally = field(default_factory=Tally)
    last: tuple[int, int, int, int] = (0, 0, 0, 0)


class KernelCounts:
    """Adds up what the qdiscs count; devices whose containers have ended keep what they had.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[tuple[str, str], _Count] = {}

    def read(
        self, directions: list[Direction], namespaces: Mapping[str, str], network: RunNamespace, afresh: bool
    ) -> dict[tuple[str, str], Tally]:
        """Read the counters of these directions; ``afresh``: count from now on.

        Raises:
            OSError: the run's namespace is gone.
        """
        ups, _ = in_each(namespaces, lambda _: _own_counters(), workers=1)
        with network.inside():
            now, downs, ports = self._clock(), kernel_qdiscs.qdisc_counters(), rtnetlink.ports()
        for one in directions:
            if one.way == UP:
                found = ups.get(one.device)
            else:
                found = (now, downs.get(ports[one.end][0], {})) if one.end in ports else None
            if found is not None and ROOT in found[1]:
                self.add(one, *found, afresh)
        return {key: count.tally for key, count in self._counts.items()}

    def add(self, one: Direction, now: float, qdiscs: Mapping[int, QdiscCounters], afresh: bool) -> None:
        """Take note of one direction's qdiscs, by what each is below."""
        count = self._counts.setdefault((one.device, one.way), _Count())
        read = _parse(qdiscs)
        before = count.last if all(new >= old for new, old in zip(read, count.last, strict=True)) else (0, 0, 0, 0)
        packets, lost, overflowed, passed = (new - old for new, old in zip(read, before, strict=True))
        count.last = read
        tally = count.tally
        if afresh:
            tally.start_again(now)
            return
        tally.packets += packets
        tally.lost += lost
        tally.overflowed += overflowed
        tally.bytes += passed
        tally.rate.look(now, tally.bytes, one.link.rate_bps)


def _own_counters() -> tuple[float, dict[int, QdiscCounters]]:
    interface = rtnetlink.find_interface(INTERFACE)
    if interface is None:
        raise LookupError(f"it has no {INTERFACE}")
    return time.monotonic(), kernel_qdiscs.qdisc_counters().get(interface.index, {})


def _parse(qdiscs: Mapping[int, QdiscCounters]) -> tuple[int, int, int, int]:
    """Packets, those of them that were lost, those for which the queue had no room, and bytes that have passed.

    Each also counts what those below it drop.
    """
    root = qdiscs[ROOT]
    overflowed = max((one.dropped for parent, one in qdiscs.items() if parent != ROOT), default=0)
    return root.packets + root.dropped, max(0, root.dropped - overflowed), overflowed, root.bytes


def directions_of(device: str, up: Link, down: Link, end: str) -> list[Direction]:
    """Both directions of a device's link."""
    return [Direction(device, UP, up, end), Direction(device, DOWN, down, end)]
