"""Which device goes to which lab host. Pure: the same devices and lab hosts give the same answer."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ..catalog.types import DeviceType
from ..lab.host import LabHost
from ..spec.experiment import Device, Experiment
from .gpus import free_gpus, gpus_for
from .host_load import free_memory_bytes, resident_bytes
from .other_runs import RESERVED_CPU_SHARE

#: The cpus that a device gets on a lab host at a factor.
Needs = Callable[[Device, LabHost, float], float]
# How well a lab host with what is left of it suits a device, less is better: whether it is full, and how full.
_Rank = tuple[bool, float, str]


@dataclass
class _Room:
    """What is left of a lab host while devices are placed."""

    host: LabHost
    cpus: float
    memory_bytes: int
    gpus: int
    factor: float
    needs: Needs
    known: dict[tuple[str, DeviceType], float] = field(default_factory=dict)  # most devices are alike

    @classmethod
    def of(cls, host: LabHost, factor: float, needs: Needs) -> _Room:
        cpus = host.cpus - sum(taken.cpus for taken in host.taken)
        return cls(host, cpus, free_memory_bytes(host), len(free_gpus(host)), factor, needs)

    def cpus_for(self, device: Device) -> float:
        """What a device gets here: of two lab hosts, less on the faster one if its type says how fast it is."""
        key = device.engine, device.type
        if key not in self.known:
            self.known[key] = self.needs(device, self.host, self.factor)
        return self.known[key]

    def is_full(self, device: Device) -> bool:
        """Whether it has not enough cpus for one more such device."""
        return self.cpus - self.host.cpus * RESERVED_CPU_SHARE < self.cpus_for(device)

    def load(self, device: Device) -> float:
        """Of how much of its cpus its devices ask for, with one more such device: the one factor follows the most."""
        return 1 - (self.cpus - self.cpus_for(device)) / (self.host.cpus or 1.0)

    def take(self, device: Device) -> None:
        self.cpus -= self.cpus_for(device)
        self.memory_bytes -= resident_bytes(device) + self.host.overhead.memory_bytes
        self.gpus -= min(self.gpus, gpus_for(device, self.host))


def may_carry(host: LabHost, device: Device) -> bool:
    """Whether a lab host is the one that a device asks for, or has the labels that it asks for."""
    return device.lab_host in (None, host.name) and device.lab_labels.items() <= host.labels.items()


def assign(experiment: Experiment, hosts: Sequence[LabHost], needs: Needs) -> dict[str, str]:
    """Choose a lab host for each device; the result is lab host names by device name.

    A device that stands on a lab host since an earlier ``up`` of its run stays there as long as it may be there and
    fits, whether or not other runs have ended since.

    Of the others, devices that may go to some lab hosts only are first, then those with the most cpus. Each goes to one
    that has memory for it, its architecture and its GPUs, in this order, if there is one; among these to the one with
    the most cpus left (``spread``), or to the first that has enough (``pack``); where none has enough, to the one of
    which all its devices would ask for the least part; by name among equals. Devices
    of a kind are then dealt out in the order of the file, so that those on a lab host follow each other: files name
    them by ranges.

    Args:
        experiment: its devices.
        hosts: lab hosts that can be used.
        needs: what a device takes of a lab host's processors.
    """
    packs = experiment.placement == "pack"
    factor = (experiment.cpu_factor or 1.0) if packs else 1.0
    rooms = [_Room.of(host, factor, needs) for host in sorted(hosts, key=lambda host: host.name)]
    rank = _pack(rooms) if packs else _spread
    assigned = dict(_stay(experiment.devices, rooms))
    for kind in _kinds([device for device in experiment.devices if device.name not in assigned], rooms):
        names = _place(kind, [room for room in rooms if may_carry(room.host, kind[0])], rank)
        assigned.update((device.name, name) for device, name in zip(kind, sorted(names), strict=True))
    return assigned


def _stay(devices: Sequence[Device], rooms: Sequence[_Room]) -> Iterator[tuple[str, str]]:
    stands_in = {name: room for room in rooms if room.host.standing for name in room.host.standing.cpus}
    for device in devices:
        room = stands_in.get(device.name)
        if room and may_carry(room.host, device) and not _lacks(room, device)[0]:
            room.take(device)
            yield device.name, room.host.name


def _place(kind: Sequence[Device], rooms: Sequence[_Room], rank: Callable[[_Room, Device], _Rank]) -> list[str]:
    """The lab host that each device of a kind goes to, in any order; the rooms have what is left then."""
    found = []
    order = [((*_lacks(room, kind[0]), *rank(room, kind[0])), number) for number, room in enumerate(rooms)]
    heapq.heapify(order)
    for device in kind:
        # A room that gets a device suits the next one no better than before, so all others keep their places.
        number = order[0][1]
        room = rooms[number]
        room.take(device)
        found.append(room.host.name)
        heapq.heapreplace(order, ((*_lacks(room, device), *rank(room, device)), number))
    return found


def _lacks(room: _Room, device: Device) -> tuple[bool, bool, bool]:
    return (
        room.memory_bytes < resident_bytes(device) + room.host.overhead.memory_bytes,
        room.host.arch != device.type.arch,
        room.gpus < gpus_for(device, room.host),
    )


def _spread(room: _Room, device: Device) -> _Rank:
    full = room.is_full(device)
    return (full, room.load(device) if full else -room.cpus, room.host.name)


def _pack(rooms: Sequence[_Room]) -> Callable[[_Room, Device], _Rank]:
    at_first = {room.host.name: room.cpus for room in rooms}

    def rank(room: _Room, device: Device) -> _Rank:
        full = room.is_full(device)
        return (full, room.load(device) if full else -at_first[room.host.name], room.host.name)

    return rank


def _kinds(devices: Sequence[Device], rooms: Sequence[_Room]) -> list[list[Device]]:
    """The devices in groups that need the same of a lab host, in the order in which they are placed."""
    kinds: dict[object, list[Device]] = {}
    for device in devices:
        labels = tuple(sorted(device.lab_labels.items()))
        kinds.setdefault((device.role, device.engine, device.type, device.lab_host, labels), []).append(device)

    def order(kind: Sequence[Device]) -> tuple[bool, bool, float]:
        first = kind[0]
        return (first.lab_host is None, not first.lab_labels, -max(room.cpus_for(first) for room in rooms))

    return sorted(kinds.values(), key=order)
