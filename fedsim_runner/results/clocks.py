"""The clocks of a run's lab hosts: every time in a table or figure is on that of the lab host that carries the server.

Each agent measures its clock against that one every ten seconds (``clock_measured`` in its journal). Between two
measurements the difference is interpolated, as clocks drift evenly; before the first and after the last it is that one.
In a dilated run, times are those of the devices as well (:mod:`.device_time`).
"""

from __future__ import annotations

import functools
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from ..contract.course_state import ONLY_HOST
from ..contract.events import AgentStarted, ClockMeasured, Event, GateOpened, parse_line
from .device_time import DeviceTime

# From this difference on, the report says so: what else compares times of several machines is wrong by so much.
FAR_APART_S = 0.05
#: Devices have wall time.
WALL = DeviceTime()
# What of a journal is about clocks: journals are long, and few of their lines are.
ABOUT_CLOCKS = (ClockMeasured.name, AgentStarted.name, GateOpened.name)
# From this bound on, delays between lab hosts are not known well enough to be compared.
UNSURE_S = 0.01


@dataclass(frozen=True)
class HostClock:
    """One lab host's clock.

    Attributes:
        measured: times by it (Unix seconds, in order), and what has to be added to it then.
        bound_s: by how much that may be wrong, at the worst measurement; None: it was never measured.
        device_time: how fast the devices' time goes.
    """

    measured: tuple[tuple[float, float], ...] = ()
    bound_s: float | None = None
    device_time: DeviceTime = WALL

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

    @property
    def corrects(self) -> bool:
        """Whether :meth:`correct` changes anything."""
        return not (self.is_right and self.device_time.is_wall)

    def offset_s(self, moment: float) -> float:
        """What has to be added to a time by this clock, in seconds."""
        if not self.measured:
            return 0.0
        after = bisect_right(self.measured, (moment, float("inf")))
        if after in (0, len(self.measured)):
            return self.measured[min(after, len(self.measured) - 1)][1]
        (t1, first), (t2, second) = self.measured[after - 1], self.measured[after]
        return first + (second - first) * (moment - t1) / (t2 - t1)

    def to_server(self, moment: float) -> float:
        """Return a time by this clock as one of the server's."""
        return moment + self.offset_s(moment) if self.measured else moment

    def correct(self, moment: float) -> float:
        """Return a time by this clock as device time, which in real time is a time by the server's clock."""
        return self.device_time.at(self.to_server(moment))


#: A clock that needs no correction.
RIGHT = HostClock()


def read_clocks(journals: Mapping[str, Path]) -> dict[str, HostClock]:
    """Return the clock of each lab host, from its journal. Where there is one lab host, its clock is right."""
    states = []
    for host, path in journals.items():
        try:
            state = path.stat()
        except OSError:
            states.append((host, path, 0, 0))
        else:
            states.append((host, path, state.st_mtime_ns, state.st_size))
    return dict(_read_clocks(tuple(states)))


@functools.lru_cache(maxsize=4)
def _read_clocks(journals: tuple[tuple[str, Path, int, int], ...]) -> Mapping[str, HostClock]:
    """Read journals, given with the state that they are in: many ask for the clocks of a run."""
    found: dict[str, HostClock] = {}
    events: list[Event] = []
    for host, path, _, _ in journals:
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        parsed = (parse_line(line) for line in lines if any(name in line for name in ABOUT_CLOCKS))
        own = [event for event in parsed if event is not None]
        found[host] = HostClock.of(own) if len(journals) > 1 else RIGHT
        events += to_server_clock(own, found[host])
    device_time = DeviceTime.of(events)
    return {host: replace(clock, device_time=device_time) for host, clock in found.items()}


def to_server_clock(events: list[Event], clock: HostClock) -> list[Event]:
    """Return a lab host's events with times by the clock of the server's."""
    if clock.is_right:
        return events
    found = []
    for event in events:
        moved = event if event.t is None else replace(event, t=clock.to_server(event.t))
        if isinstance(moved, GateOpened) and moved.open_at is not None:
            moved = replace(moved, open_at=clock.to_server(moved.open_at))
        found.append(moved)
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
