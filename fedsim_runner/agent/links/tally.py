"""What has passed one direction of a link: counters, and what they say about its rate over any length of time. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fedsim_runner.contract.link_verdict import RATE_SHARE

#: The rate of so many seconds is compared with the one asked for.
WINDOW_S = 1.0


class Passed(NamedTuple):
    """One direction's counters so far, and its queue at this moment.

    Attributes:
        bytes: of frames, with their Ethernet headers, that have left the queue.
        packets: as those of a :class:`Tally`.
        lost: likewise.
        overflowed: likewise.
        backlog_bytes: that wait in the queue now; packets that the link delays are not in it.
    """

    bytes: int
    packets: int
    lost: int
    overflowed: int
    backlog_bytes: int


@dataclass
class RateWatch:
    """Follows a counter of bytes.

    Attributes:
        busiest_bps: the highest rate over at least :data:`WINDOW_S`.
        ahead_bytes: by how much at most what had passed was ahead of the rate, and of what that may be off.
    """

    busiest_bps: float = 0.0
    ahead_bytes: float = 0.0
    _ahead: float = 0.0
    _last: tuple[float, int] | None = None
    _begun: tuple[float, int] | None = None

    def look(self, now: float, count: int, rate_bps: int | None) -> None:
        """Take note of the bytes that have passed until now."""
        if self._last is None or self._begun is None or count < self._last[1]:  # a new interface counts from 0
            self._last = self._begun = now, count
            return
        passed, seconds = count - self._last[1], now - self._last[0]
        if rate_bps is not None:
            self._ahead = max(0.0, self._ahead + passed - (1 + RATE_SHARE) * rate_bps / 8 * seconds)
            self.ahead_bytes = max(self.ahead_bytes, self._ahead)
        self._last = now, count
        length = now - self._begun[0]
        if length >= WINDOW_S:
            self.busiest_bps = max(self.busiest_bps, (count - self._begun[1]) * 8 / length)
            self._begun = self._last


@dataclass
class Tally:
    """One direction's counters.

    Attributes:
        packets: that have reached the direction.
        lost: those of them that were dropped for the loss that was asked for.
        overflowed: those for which the queue had no room.
        bytes: of all others.
        dropped: packets that the lab host dropped for want of time, besides.
    """

    packets: int = 0
    lost: int = 0
    overflowed: int = 0
    bytes: int = 0
    dropped: int = 0
    rate: RateWatch = field(default_factory=RateWatch)

    def start_again(self, now: float) -> None:
        """Count from now on."""
        self.packets = self.lost = self.overflowed = self.bytes = self.dropped = 0
        self.rate = RateWatch()
        self.rate.look(now, 0, None)

    @classmethod
    def parse(cls, counters: Mapping[str, int]) -> Tally:
        """The reverse of :meth:`as_dict`."""
        rest = dict(counters)
        rate = RateWatch(rest.pop("busiest_bps"), rest.pop("ahead_bytes"))
        return cls(**rest, rate=rate)

    def as_dict(self) -> dict[str, int]:
        """The counters as JSON data."""
        return {
            "packets": self.packets,
            "lost": self.lost,
            "overflowed": self.overflowed,
            "bytes": self.bytes,
            "dropped": self.dropped,
            "busiest_bps": round(self.rate.busiest_bps),
            "ahead_bytes": round(self.rate.ahead_bytes),
        }
