"""Which GPUs of its lab host a device is given: each to one device, over all runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..lab.host import LabHost
from ..spec.experiment import Device
from .emulation import is_emulated
from .speeds import is_as_fast_as_its_type


def free_gpus(host: LabHost) -> list[str]:
    """The GPUs of a lab host that no other run has."""
    held = {gpu for taken in host.taken for gpu in taken.gpu_ids}
    return [gpu for gpu in host.gpu_ids if gpu not in held]


def give_gpus(
    devices: Sequence[Device], hosts: Mapping[str, LabHost], assigned: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Return each device's GPUs: those that it has since an earlier ``up``, else the first that are left.

    A device gets fewer than :func:`gpus_for` says where its lab host has no more.
    """
    free = {name: free_gpus(host) for name, host in hosts.items()}
    given: dict[str, tuple[str, ...]] = {}
    for device in devices:
        host = hosts[assigned[device.name]]
        had = host.standing.gpu_ids.get(device.name, ()) if host.standing else ()
        if len(had) == gpus_for(device, host) and set(had) <= set(free[host.name]):
            given[device.name] = had
            free[host.name] = [gpu for gpu in free[host.name] if gpu not in had]
    for device in devices:
        if device.name not in given:
            left = free[assigned[device.name]]
            wanted = gpus_for(device, hosts[assigned[device.name]])
            given[device.name] = tuple(left[:wanted])
            del left[:wanted]
    return given


def gpus_for(device: Device, host: LabHost) -> int:
    """How many GPUs of a lab host a device asks for.

    None if its programs are of another architecture, or if its type says how fast it is: its share of the processors
    makes it so, and a GPU would not be held to it.
    """
    own_speed = is_emulated(device.type, host) or is_as_fast_as_its_type(device, host)
    return 0 if own_speed else device.type.gpus
