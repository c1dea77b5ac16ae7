"""Device time of a run: what tables, figures and the report show in place of the lab hosts' clocks.

All files of a run have wall time. In a dilated run (:mod:`fedsim_runner.contract.time_scale`) the devices' time goes by
the factor, from the opening of the gate on; what comes before, provisioning and loading, is the testbed's and stays in
wall time. A moment of device time is in Unix seconds as well: what the server's lab host would have on its clock, had
that gone by the factor since the gate opened. So the difference between two of them is in device seconds.

Whatever reads a file of the run converts it here, before anything is computed from it. In real time nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from ..contract.course_state import earlier
from ..contract.events import (
    AgentStarted,
    ClientsTooClose,
    Event,
    EventBegun,
    EventEnded,
    EventFailed,
    GateOpened,
    LinkCounted,
    LinkMeasured,
    LinkRestored,
    LinksTooLong,
    LinksVaried,
)
from ..contract.lenient import number
from ..contract.time_scale import REAL_TIME, TimeScale, read_factor

Convert = Callable[[float], float]

#: Fields of events that are moments in Unix seconds, besides ``t``.
MOMENTS: Mapping[type[Event], tuple[str, ...]] = {
    GateOpened: ("open_at",),
    EventBegun: ("due",),
    EventEnded: ("due",),
    EventFailed: ("due",),
}
#: Fields that say how long something takes in the course. What else takes time is the testbed's, in wall time.
SPANS: Mapping[type[Event], tuple[str, ...]] = {
    EventBegun: ("late_s",),
    EventEnded: ("late_s",),
    LinkMeasured: ("delay_asked_us", "delay_us", "jitter_asked_us", "jitter_us"),
    LinkRestored: ("for_s",),
    LinksVaried: ("latest_s",),
    LinksTooLong: ("one_way_us",),
    ClientsTooClose: ("one_way_us",),
}
#: Fields that are so much per second.
RATES: Mapping[type[Event], tuple[str, ...]] = {
    LinkMeasured: ("rate_asked_bps", "rate_bps"),
    LinkCounted: ("rate_asked_bps", "rate_bps"),
}


@dataclass(frozen=True)
class DeviceTime:
    """How moments by the clock of the server's lab host become device time.

    Attributes:
        scale: how fast the devices' time goes.
        gate: when the gate opened, in Unix seconds; None: it has not, so all moments are in wall time.
    """

    scale: TimeScale = REAL_TIME
    gate: float | None = None

    @classmethod
    def of(cls, events: Iterable[Event]) -> Self:
        """Return it according to the events of all journals, with times by the clock of the server's lab host."""
        scale, gate = REAL_TIME, None
        for event in events:
            match event:
                case AgentStarted():
                    scale = read_factor(event.time_factor)
                case GateOpened():
                    gate = earlier(gate, event.open_at or event.t)
        return cls(scale, gate)

    @property
    def is_wall(self) -> bool:
        """Whether it is wall time."""
        return self.scale.is_real

    def at(self, moment: float) -> float:
        """Return a moment by the clock as one of device time."""
        if self.gate is None or moment <= self.gate or self.is_wall:
            return moment
        return self.gate + self.scale.to_device(moment - self.gate)

    def wall(self, moment: float) -> float:
        """Return a moment of device time as one by the clock."""
        if self.gate is None or moment <= self.gate or self.is_wall:
            return moment
        return self.gate + self.scale.to_wall(moment - self.gate)

    def convert(self, event: Event) -> Event:
        """Return an event with its times and rates as the devices have them."""
        if self.is_wall:
            return event
        kind = type(event)
        parts = ((MOMENTS, self.at), (SPANS, self.scale.to_device), (RATES, self.scale.device_rate))
        changes: dict[str, Any] = {
            name: _scaled(getattr(event, name), change) for table, change in parts for name in table.get(kind, ())
        }
        return replace(event, t=_scaled(event.t, self.at), **changes)


def _scaled(value: float | None, change: Convert) -> float | None:
    """Return a changed value, whole if it was; None if it is none, or too large: a run folder may say anything."""
    known = number(value)
    found = None if known is None else number(change(known))
    return round(found) if found is not None and isinstance(value, int) else found


def convert_device(device: Mapping[str, Any], scale: TimeScale) -> dict[str, Any]:
    """Return a device of a device file, which says what the lab host puts into force, as the experiment has it."""
    found = dict(device)
    if scale.is_real:
        return found
    if (cpus := _scaled(number(device.get("cpus")), scale.device_rate)) is not None:
        found["cpus"] = round(cpus, 6)
    link = device.get("link")
    if isinstance(link, Mapping):
        ways = ((way, side) for way, side in link.items() if isinstance(side, Mapping))
        found["link"] = {**link, **{way: _convert_direction(side, scale) for way, side in ways}}
    return found


def _convert_direction(side: Mapping[str, Any], scale: TimeScale) -> dict[str, Any]:
    """Convert what is said of one direction of a link, where the end of a name is its unit."""
    found = dict(side)
    for key, value in side.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            continue
        if str(key).endswith("_us"):
            found[key] = _scaled(value, scale.to_device)
        elif str(key).endswith("_bps"):
            found[key] = _scaled(value, scale.device_rate)
    queue = side.get("queue")
    if isinstance(queue, Mapping) and number(queue.get("buffer_us")) is not None:
        found["queue"] = {**queue, "buffer_us": _scaled(queue["buffer_us"], scale.to_device)}
    return found
