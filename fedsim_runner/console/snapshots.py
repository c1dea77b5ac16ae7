"""The agents' latest views of a course: one snapshot per lab host, combined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..contract.course_state import accuracy_of
from ..contract.device_status import in_device_time
from ..contract.lenient import name, number, text, whole
from ..contract.time_scale import TimeScale, read_factor
from .course_now import DeviceNow, count_states, parse_devices, parse_others


class Snapshots:
    """The latest snapshot of each lab host."""

    def __init__(self) -> None:
        self._last: dict[str | None, Mapping[str, Any]] = {}

    def add(self, snapshot: Mapping[str, Any]) -> bool:
        """Add a snapshot; return false if it is older than the one already known from its lab host."""
        lab_host, moment = name(snapshot.get("lab_host")), number(snapshot.get("t"))
        seen = number(self._last.get(lab_host, {}).get("t"))
        if moment is not None and seen is not None and moment < seen:
            return False
        self._last[lab_host] = snapshot
        return True

    @property
    def state(self) -> str | None:
        """The state of the course, from the first lab host that reports one."""
        return next((text(one["state"]) for one in self._last.values() if one.get("state")), None)

    @property
    def round(self) -> int:
        """The latest round that any lab host has seen."""
        return max((whole(one.get("round")) or 0 for one in self._last.values()), default=0)

    @property
    def time_scale(self) -> TimeScale:
        """How fast the devices' time goes."""
        return read_factor(next((one["time_factor"] for one in self._last.values() if one.get("time_factor")), None))

    @property
    def t(self) -> float | None:
        """When the latest one was made (Unix seconds)."""
        return max(
            (moment for one in self._last.values() if (moment := number(one.get("t"))) is not None), default=None
        )

    @property
    def total_rounds(self) -> int | None:
        """The number of rounds of the course."""
        return max((whole(one.get("total_rounds")) or 0 for one in self._last.values()), default=0) or None

    @property
    def accuracy(self) -> float | None:
        """The latest accuracy; only the server's lab host has one."""
        found = (accuracy_of(one.get("results")) for one in self._last.values())
        return next((accuracy for accuracy in found if accuracy is not None), None)

    @property
    def devices(self) -> list[DeviceNow]:
        """All devices in the snapshots."""
        return [
            device
            for one in self._last.values()
            for device in (
                *parse_devices(in_device_time(one.get("devices"), self.time_scale)),
                *parse_others(one.get("others")),
            )
        ]

    @property
    def counts(self) -> dict[str, int]:
        """The number of devices by state, as the agents count them."""
        total: Counter[str] = Counter()
        for one in self._last.values():
            total.update(count_states(one.get("counts"), parse_devices(one.get("devices"))))
        return dict(total)
