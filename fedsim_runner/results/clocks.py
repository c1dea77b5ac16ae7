"""The clocks of a run's lab hosts: every time in a table or figure is on that of the lab host that carries the server.

Each agent measures its clock against that one every ten seconds (``clock_measured`` in its journal). Between two
measurements the difference is interpolated, as clocks drift evenly; before the first and after the last it is that one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ..contract.course_state import ONLY_HOST
from ..contract.events import ClockMeasured, Event, parse_line

# From this difference on, the report says so: what else compares times of several machines is wrong by so much.
FAR_APART_S = 0.05
# From this bound on, delays between lab hosts are not known well enough to be compared.
UNSURE_S = 0.01


@dataclass(frozen=True)
class HostClock:
    """One lab host's clock.

    Attributes:
        measured: times by it (Unix seconds, in order), and what has to be added to it then.
        bound_s: by how much that may be wrong, at the worst measurement; None: it was never measured.
    """

    measured: tuple[tuple[float, float], ...] = ()
    bound_s: float | None = None

    @classmethod
    def of(cls, events: Iterable[Event]) -> Self:
        """Return the clock according to the events of the lab host's journal."""
        found = [one for one in events if isinstance(one, ClockMeasured)]
        known = sorted((one.t, one.offset_s) for one in found if one.t is not None and one.offset_s is not None)
        return cls(tuple(known), max((one.bound_s for one in found if one.bound_s is not None), default=None))

    @property
    def largest_s(self) -> float:
        """The largest difference that was measured, in seconds."""
        return max((abs(offset) for _, offset in self.measured), default=0.0)

    @property
    def is_right(self) -> bool:
        """Whether nothing has to be added: it is the server's, or was never measured."""
        return not self.measured

    def offset_s(self, moment: float) -> float:
        """What has to be added to a time by this clock, in seconds."""
        if not self.measured:
            return 0.0
        after = bisect_right(self.measured, (moment, float("inf")))
        if after in (0, len(self.measured)):
            return self.measured[min(after, len(self.measured) - 1)][1]
        (t1, first), (t2, second) = self.measured[after - 1], self.measured[after]
        return first + (second - first) * (moment - t1) / (t2 - t1)

    def correct(self, moment: float) -> float:
        """Return a time by this clock as one of the server's."""
        return moment + self.offset_s(moment) if self.measured else moment


#: A clock that needs no correction.
RIGHT = HostClock()


def read_clocks(journals: Mapping[str, Path]) -> dict[str, HostClock]:
    """Return the clock of each lab host, from its journal. Where there is one lab host, nothing is read."""
    if len(journals) < 2:
        return dict.fromkeys(journals, RIGHT)
    found = {}
    for host, path in journals.items():
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        # Journals are long, and few of their lines are about clocks.
        events = (parse_line(line) for line in lines if ClockMeasured.name in line)
        found[host] = HostClock.of(event for event in events if event is not None)
    return found


def clocks_of_devices(
    clocks: Mapping[str, HostClock], devices: Mapping[str, Mapping[str, Any]]
) -> dict[str, HostClock]:
    """Return the clock by which each device recorded its times. ``devices``: with their ``lab_host``."""
    return {
        name: clocks.get(str(entry.get("lab_host")), clocks.get(ONLY_HOST, RIGHT)) for name, entry in devices.items()
    }


def describe_clocks(clocks: Mapping[str, HostClock], first: str) -> list[str]:
    """Describe clocks that a reader has to know of, as sentences. ``first``: the name of the first lab host."""
    found = []
    for host, clock in clocks.items():
        name = first if host == ONLY_HOST else host
        if clock.largest_s > FAR_APART_S:
            found.append(
                f"the clock of lab host {name} differed by up to {clock.largest_s:.3f} s from that of the server's lab "
                "host; all times are corrected, but what else compares clocks (logs, tokens) sees the difference"
            )
        if clock.bound_s is not None and clock.bound_s > UNSURE_S:
            found.append(
                f"the clock of lab host {name} is known only to {clock.bound_s * 1000:.1f} ms: times between its "
                "devices and others may be wrong by so much"
            )
    return found
