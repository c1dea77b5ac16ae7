"""What an agent says of its devices at one moment: in wall time, as it counts, or in that of the devices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .lenient import number
from .time_scale import TimeScale

#: What is so much per second: cores in use and their limit are seconds of a processor per second.
RATES = ("cpu", "cpus", "up_bps", "down_bps", "up_packets_per_s", "down_packets_per_s")
_DIGITS = 4


def in_device_time(devices: object, scale: TimeScale) -> Any:
    """Return the devices of an agent's answer, by name, with the rates that they have in device time."""
    if scale.is_real or not isinstance(devices, Mapping):
        return devices
    return {name: _convert(entry, scale) if isinstance(entry, Mapping) else entry for name, entry in devices.items()}


def _convert(entry: Mapping[str, Any], scale: TimeScale) -> dict[str, Any]:
    found = dict(entry)
    for key in RATES:
        if (value := number(entry.get(key))) is not None:
            found[key] = round(scale.device_rate(value), _DIGITS)
    return found
