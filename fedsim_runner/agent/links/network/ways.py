"""How devices reach those that are not their neighbours: over devices in between, which pass packets on. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..profile import Profile


@dataclass(frozen=True)
class Ways:
    """A device's routes: the address of the next device, by that of the receiver.

    Attributes:
        own: for what it sends itself.
        passed: for what it passes on.
        passes: whether its kernel passes on anything.
    """

    own: Mapping[str, str] = field(default_factory=dict)
    passed: Mapping[str, str] = field(default_factory=dict)
    passes: bool = True

    def __str__(self) -> str:
        shown = ", ".join(f"{receiver} via {following}" for receiver, following in sorted(self.own.items()))
        return f"{shown or 'no other'}; passes on to {len(self.passed) if self.passes else 'nobody'}"


def plan_ways(profile: Profile) -> dict[str, Ways]:
    """The routes of this lab host's devices; empty: no device passes anything on."""
    topology = profile.topology
    if topology is None or not topology.parents:
        return {}
    address = _addresses(profile)
    own: dict[str, dict[str, str]] = {name: {} for name in address}
    passed: dict[str, dict[str, str]] = {name: {} for name in address}
    adjacent = set(topology.directions())
    for first, second in _pairs(profile):
        way = topology.between(first, second)
        for hops in (way, way[::-1]):
            if (hops[0], hops[-1]) in adjacent:
                continue
            own[hops[0]][address[hops[-1]]] = address[hops[1]]
            for device, following in itertools.pairwise(hops[1:]):
                passed[device][address[hops[-1]]] = address[following]
    here = [one.device for one in profile.devices if one.device in address]
    return {name: Ways(own[name], passed[name]) for name in here}


def neighbours_of(profile: Profile) -> dict[str, set[str]]:
    """The addresses of each device's neighbours; empty: all are."""
    topology = profile.topology
    if topology is None or not topology.parents:
        return {}
    address = _addresses(profile)
    found: dict[str, set[str]] = {name: set() for name in address}
    for first, second in topology.directions():
        found[first].add(address[second])
    return found


def _addresses(profile: Profile) -> dict[str, str]:
    """The addresses of all of the run's devices that have a site."""
    sites = {} if profile.topology is None else profile.topology.sites
    return {one.device: one.address for one in profile.all_devices if one.device in sites}


def _pairs(profile: Profile) -> Iterator[tuple[str, str]]:
    """Devices that exchange messages in a course."""
    names = list(_addresses(profile))
    if profile.clients_talk:
        yield from itertools.combinations(names, 2)
    elif profile.server in names:
        yield from ((name, profile.server) for name in names if name != profile.server)
