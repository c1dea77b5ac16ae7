"""The current state of a course and its devices, as shown by the live view and ``status``.

The figures come from the agent (``ctl status`` and the snapshots of ``fedsim_course``): per device its state and round,
cpu (cores in use) of ``cpus``, the share of the time it was held back by that limit (``throttled``), memory and its
limit in bytes, the bit/s it sends and receives, the packets that come to its link in a second, the bytes that wait in
the link's queues, and the packets for which these had no room so far. In a dilated run cpu, cpus and rates are those of
the devices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..contract.lenient import number, whole
from ..plan.model import Plan

# From this share of time held back by the cpu limit on, a device is shown as throttled.
THROTTLED = 0.05


@dataclass(frozen=True)
class DeviceNow:
    """One device; None for what is unknown."""

    name: str
    state: str
    round: int | None = None
    cpu: float | None = None
    cpus: float | None = None
    memory_bytes: float | None = None
    memory_limit_bytes: float | None = None
    up_bps: float | None = None
    down_bps: float | None = None
    up_packets_per_s: float | None = None
    down_packets_per_s: float | None = None
    up_backlog_bytes: int | None = None
    down_backlog_bytes: int | None = None
    overflowed: int | None = None
    throttled: bool = False
    oom_kills: int = 0
    exit_code: int | None = None


@dataclass(frozen=True)
class CourseNow:
    """The course at one moment.

    Attributes:
        elapsed_s: wall seconds since people began to wait for it.
        time_factor: device seconds in a wall second.
        device_s: in a dilated run, seconds of device time since the gate opened.
        counts: devices by state, including those that are not in ``devices``.
    """

    run: str
    state: str | None = None
    round: int | None = None
    total_rounds: int | None = None
    accuracy: float | None = None
    accuracies: tuple[float | None, ...] = ()
    elapsed_s: float | None = None
    time_factor: float = 1.0
    device_s: float | None = None
    backend: str | None = None
    devices: tuple[DeviceNow, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def loaded(self) -> str | None:
        """How many devices have loaded, for people; None unless they are loading."""
        return f"loading {self.counts.get('ready', 0)} of {self.device_count}" if self.state == "loading" else None

    @property
    def device_count(self) -> int:
        """The number of devices in the course, shown or not."""
        return max(len(self.devices), sum(self.counts.values()))


def parse_devices(entries: object) -> tuple[DeviceNow, ...]:
    """Return the devices in an agent's answer; anything that does not look like one is left out."""
    if not isinstance(entries, Mapping):
        return ()
    return tuple(_device(str(name), entry) for name, entry in entries.items() if isinstance(entry, Mapping))


def parse_others(lines: object) -> tuple[DeviceNow, ...]:
    """Return the devices of which a large snapshot has only name, state and round, one a line."""
    words = (line.split() for line in lines.splitlines()) if isinstance(lines, str) else ()
    return tuple(DeviceNow(one[0], one[1], int(one[2])) for one in words if len(one) == 3 and one[2].isdecimal())


def planned_devices(plan: Plan) -> tuple[DeviceNow, ...]:
    """Return the devices of a plan, with their limits, before anything else is known about them."""
    return tuple(
        DeviceNow(
            item.device.name,
            "starting",
            cpus=plan.time_scale.device_rate(item.cpus),
            memory_limit_bytes=float(item.device.type.memory_bytes),
        )
        for item in plan.placed
    )


def count_states(counts: object, devices: Iterable[DeviceNow]) -> dict[str, int]:
    """Return the number of devices by state: the agent's own count if there is one."""
    if isinstance(counts, Mapping):
        found = {str(state): whole(count) or 0 for state, count in counts.items()}
        if any(found.values()):
            return found
    return dict(Counter(device.state for device in devices))


def _device(name: str, entry: Mapping[str, Any]) -> DeviceNow:
    return DeviceNow(
        name=name,
        state=str(entry.get("state") or "unknown"),
        round=whole(entry.get("round")),
        cpu=number(entry.get("cpu")),
        cpus=number(entry.get("cpus")),
        memory_bytes=number(entry.get("memory_bytes")),
        memory_limit_bytes=number(entry.get("memory_limit_bytes")),
        up_bps=number(entry.get("up_bps")),
        down_bps=number(entry.get("down_bps")),
        up_packets_per_s=number(entry.get("up_packets_per_s")),
        down_packets_per_s=number(entry.get("down_packets_per_s")),
        up_backlog_bytes=whole(entry.get("up_backlog_bytes")),
        down_backlog_bytes=whole(entry.get("down_backlog_bytes")),
        overflowed=whole(entry.get("overflowed")),
        throttled=(number(entry.get("throttled")) or 0.0) > THROTTLED,
        oom_kills=whole(entry.get("oom_kills")) or 0,
        exit_code=whole(entry.get("exit_code")),
    )
