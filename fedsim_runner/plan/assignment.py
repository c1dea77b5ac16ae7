"""Which device goes to which lab host. Pure: the same devices and lab hosts give the same answer."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from ..lab.host import LabHost
from ..spec.experiment import Device


def assign(devices: Sequence[Device], hosts: Sequence[LabHost]) -> dict[str, str]:
    """Choose a lab host for each device; the result is lab host names by device name.

    Largest first, each goes to the lab host with the most nominal cpus left; the first by name among equals. Devices
    of a kind are then dealt out in the order of the file, so that those on a lab host follow each other: files name
    them by ranges.
    """
    left = [(-host.cpus, host.name) for host in sorted(hosts, key=lambda host: host.name)]
    heapq.heapify(left)
    assigned: dict[str, str] = {}
    for kind in _kinds(devices):
        chosen: dict[str, int] = {}
        for device in kind:
            used, name = left[0]
            heapq.heapreplace(left, (used + device.type.cpus, name))
            chosen[name] = chosen.get(name, 0) + 1
        names = [name for name in sorted(chosen) for _ in range(chosen[name])]
        assigned.update((device.name, name) for device, name in zip(kind, names, strict=True))
    return assigned


def _kinds(devices: Sequence[Device]) -> list[list[Device]]:
    """The devices in groups that need the same of a lab host, those with the most cpus first."""
    kinds: dict[object, list[Device]] = {}
    for device in devices:
        kinds.setdefault((device.role, device.engine, device.type), []).append(device)
    return sorted(kinds.values(), key=lambda kind: -kind[0].type.cpus)
