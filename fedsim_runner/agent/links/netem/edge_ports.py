"""The edges of one lab host as values: the ends of their veth pairs, and which device is known behind which. Pure.

On several lab hosts a packet takes its edge on its sender's, and then crosses over to its receiver's. For that each
site's bridge has another pair, which leads to a bridge that the lab hosts share (``crossing``). As with edges, nothing
is learnt there, and what has no known place goes nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fedsim_runner.contract.link import Link

from ...kernel.root_qdisc import ForeignQdisc, Qdisc
from ..network.wiring import bridge_name, crossing_bridge, mac_address, partitions_of
from ..profile import Profile
from .moving_delays import Movement, plan_movement
from .qdisc import Netem

#: In the place of a site's number: the bridge that lab hosts share.
CROSSING = "w"


@dataclass(frozen=True)
class Port:
    """One end of an edge: where a bridge sends what goes to another site.

    Attributes:
        far: name of the other end.
        bridge: that of the site that it leads from; None: it is down, or a port of none.
        qdisc: those of the direction that leads from there.
        moved: its delays, if it has jitter.
    """

    name: str
    far: str
    bridge: str | None
    qdisc: Qdisc | ForeignQdisc | None
    moved: Movement | None = None

    def matches(self, active: Port) -> bool:
        """Whether both are equal up to rounding in the kernel's units."""
        # What is asked for is also compared with what was asked for before.
        same = self.qdisc == active.qdisc or (isinstance(self.qdisc, Qdisc) and self.qdisc.matches(active.qdisc))
        return same and (self.name, self.far, self.bridge, self.moved) == (
            active.name,
            active.far,
            active.bridge,
            active.moved,
        )


class Ports:
    """Both ends of all edges of a site."""

    def __init__(self, ports: Sequence[Port]) -> None:
        self.ports = sorted(ports, key=lambda port: port.name)

    def __eq__(self, active: object) -> bool:
        return (
            isinstance(active, Ports)
            and len(self.ports) == len(active.ports)
            and all(one.matches(other) for one, other in zip(self.ports, active.ports, strict=True))
        )

    def __hash__(self) -> int:
        return hash(tuple(port.name for port in self.ports))

    def __str__(self) -> str:
        return ", ".join(f"{port.name} in {port.bridge}: {port.qdisc}" for port in self.ports)


@dataclass(frozen=True, eq=False)
class Known:
    """Ports behind which a device's MAC address is known, at least: where it was once does not matter."""

    ports: frozenset[str]

    def __eq__(self, active: object) -> bool:
        return isinstance(active, Known) and self.ports <= active.ports

    def __hash__(self) -> int:
        return hash(self.ports)

    def __str__(self) -> str:
        return ", ".join(sorted(self.ports))


@dataclass(frozen=True, eq=False)
class Elsewhere:
    """Ports behind which MAC addresses of devices on other lab hosts are known, at least, as pairs."""

    entries: frozenset[tuple[str, str]]

    def __eq__(self, active: object) -> bool:
        return self is active or (isinstance(active, Elsewhere) and self.entries <= active.entries)

    def __hash__(self) -> int:
        return hash(self.entries)

    def __str__(self) -> str:
        return f"{len(self.entries)} entries"

    def found_in(self, active: frozenset[tuple[str, str]]) -> Elsewhere:
        """What of it is there."""
        return self if self.entries <= active else Elsewhere(self.entries & active)


@dataclass(frozen=True)
class Planned:
    """The edges of a site."""

    ports: Ports
    known: Known
    elsewhere: Elsewhere | None


def plan_group(profile: Profile, numbers: Mapping[str, int], group: Sequence[int]) -> dict[str, Planned]:
    """The edges between the bridges of the devices that are in these partitions and in no others, by site."""
    ports: dict[str, list[Port]] = {site: [] for site in numbers}
    into: dict[str, set[str]] = {site: set() for site in numbers}
    for (first, second), link in profile.edges.items():
        name, far = (edge_end(numbers[one], numbers[other], group) for one, other in ((first, second), (second, first)))
        moved = plan_movement(Link(), link, name, f"{profile.seed}/{first}/{second}")
        port = Port(name, far, bridge_name(numbers[first], group), Netem.for_link(link), moved)
        ports[first].append(port)
        ports[second].append(port)
        into[second].add(name)
    across = _plan_across(profile, numbers, group) if profile.peers else {}
    for site, (crossings, _) in across.items():
        ports[site] += crossings
        into[site].add(edge_end(CROSSING, numbers[site], group))
    return {
        site: Planned(
            Ports(found),
            Known(frozenset(into[site])),
            Elsewhere(across[site][1]) if site in across else None,
        )
        for site, found in ports.items()
    }


def edge_end(near: int | str, far: int | str, group: Sequence[int]) -> str:
    """Name of an edge's end in the bridge of one site; the kernel allows 15 characters."""
    prefix = "" if not group else bridge_name(0, group).rpartition("-")[0]
    return f"e{prefix}{near}-{far}"


def is_edge(name: str) -> bool:
    """Whether an interface of this name is an end of an edge."""
    return name.startswith("e") and "-" in name


def is_crossing(name: str) -> bool:
    """Whether an end of an edge is one of a pair between a site and the bridge that lab hosts share."""
    near, _, far = name.rpartition("-")
    return far == CROSSING or near.endswith(CROSSING)


def _plan_across(
    profile: Profile, numbers: Mapping[str, int], group: Sequence[int]
) -> dict[str, tuple[list[Port], frozenset[tuple[str, str]]]]:
    """By site that has devices here: the pairs to other lab hosts, and who is known behind which port."""
    here = {site for one in profile.devices if (site := profile.site(one.device)) is not None}
    macs: dict[str, list[str]] = {}
    for one in profile.peers:
        site = profile.site(one.device)
        if site is not None and partitions_of(one.device, profile) == list(group):
            macs.setdefault(site, []).append(mac_address(one.address))
    beyond: dict[str, list[str]] = {site: [site] for site in here}
    for first, second in profile.edges:
        if first in here:
            beyond[first].append(second)
    found = {}
    for site, sites in beyond.items():
        crossings, entries = [], set()
        for other in sites:
            near, far = (edge_end(numbers[other], CROSSING, group), edge_end(CROSSING, numbers[other], group))
            crossings.append(Port(near, far, bridge_name(numbers[other], group), None))
            crossings.append(Port(far, near, crossing_bridge(bridge_name(0, group)), None))
            ways = [near] if other == site else [near, edge_end(numbers[site], numbers[other], group)]
            entries |= {(mac, way) for mac in macs.get(other, ()) for way in ways}
        found[site] = crossings, frozenset(entries)
    return found
