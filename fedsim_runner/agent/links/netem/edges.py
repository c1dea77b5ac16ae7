"""The edges between sites in the kernel: veth pairs between the bridges of their sites, with a direction at each end.

Each site has a bridge. Edges neither learn nor take what has no known place, and no packet goes from one edge to
another: over an edge goes what is for the MAC addresses of the site at its other end, which are entered by hand. So
edges may make circles. (``sticky``: what else reaches the bridge does not move an entry.)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedsim_runner.contract.link import Link

from ...host import programs
from ..profile import Profile
from ..protocol import Failures, Settings
from ..root_qdisc import ForeignQdisc, Qdisc, parse_qdiscs, qdisc_commands, read_qdiscs, run_commands
from ..run_namespace import Line, RunNamespace, without_ipv6
from ..wiring import bridge_name, mac_address, partitions_of, site_numbers
from .kernel_counts import Direction
from .moving_delays import Movement, MovingDelays, plan_movement
from .qdisc import Netem

EDGES, KNOWN = "edges", "known over edges"
_ALONE = ["type", "bridge_slave", "isolated", "on", "learning", "off"]
_ALONE += ["flood", "off", "mcast_flood", "off", "bcast_flood", "off"]


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


class KernelEdges:
    """Plans, reads and sets the edges of one lab host."""

    def __init__(self, delays: MovingDelays) -> None:
        self._delays = delays
        self._macs: dict[str, str] = {}  # of this lab host's devices
        self._bridges: dict[str, str | None] = {}  # of these, the one that their site has

    def directions(self, profile: Profile) -> list[Direction]:
        """What of the edges is to be counted: those of all partitions, where anything happens to packets. Pure."""
        if profile.topology is None:
            return []
        numbers, names = site_numbers(profile), profile.topology.names()
        groups = sorted({tuple(partitions_of(one.device, profile)) for one in profile.devices})
        return [
            Direction(*names[first, second], link, _end(numbers[first], numbers[second], group), is_edge=True)
            for (first, second), link in profile.edges.items()
            if link.is_shaped
            for group in groups
        ]

    def plan(self, profile: Profile) -> dict[str, Settings]:
        """The settings of each device: empty without a topology. Pure, but for what :meth:`read` has to look for."""
        self._macs = {one.device: mac_address(one.address) for one in profile.devices}
        numbers = site_numbers(profile)
        groups = {one.device: tuple(partitions_of(one.device, profile)) for one in profile.devices}
        self._bridges = {
            one.device: None if (site := profile.site(one.device)) is None else bridge_name(numbers[site], group)
            for one, group in zip(profile.devices, groups.values(), strict=True)
        }
        planned: dict[tuple[int, ...], tuple[dict[str, Ports], dict[str, Known]]] = {
            group: _plan_group(profile, numbers, group) for group in set(groups.values())
        }
        found: dict[str, Settings] = {}
        for one in profile.devices:
            ports, known = planned[groups[one.device]]
            site = profile.site(one.device)
            found[one.device] = {} if site is None else {EDGES: ports[site], KNOWN: known[site]}
        return found

    def read(self, devices: Sequence[str], network: RunNamespace) -> dict[str, Settings]:
        """What the kernel has for these devices."""
        if not any(self._bridges.get(name) for name in devices):
            return {name: {} for name in devices}
        ports, known = self._read_ports(network), self._read_known(network)
        found: dict[str, Settings] = {}
        for name in devices:
            bridge, mac = self._bridges.get(name), self._macs.get(name)
            if bridge is None or mac is None:
                found[name] = {}
                continue
            own = {port.name for port in ports.values() if port.bridge == bridge}
            own |= {ports[one].far for one in own if ports[one].far in ports}
            found[name] = {EDGES: Ports([ports[one] for one in own]), KNOWN: Known(frozenset(known.get(mac, ())))}
        return found

    def apply(self, changes: Mapping[str, Settings], network: RunNamespace) -> Failures:
        """Set what differs; an edge that fails fails for all devices at its sites."""
        wanted = {
            port.name: port
            for change in changes.values()
            if isinstance(edges := change.get(EDGES), Ports)
            for port in edges.ports
        }
        failed: Failures = {}
        if wanted:
            broken = network.add_bridges([port.bridge for port in wanted.values() if port.bridge])
            broken |= self._make(wanted, network)
            for name, change in changes.items():
                edges = change.get(EDGES)
                names = (
                    [one for port in edges.ports for one in (port.name, port.bridge)]
                    if isinstance(edges, Ports)
                    else []
                )
                if (reason := next((broken[one] for one in names if one in broken), None)) is not None:
                    failed[name] = reason
        entries = [
            f"fdb replace {self._macs[name]} dev {port} master static sticky"
            for name, change in changes.items()
            if name not in failed and isinstance(known := change.get(KNOWN), Known)
            for port in sorted(known.ports)
        ]
        if entries:
            with network.inside():
                programs.run(["bridge", "-batch", "-"], stdin="\n".join(entries) + "\n")
        return failed

    def _make(self, wanted: Mapping[str, Port], network: RunNamespace) -> Failures:
        """Make the edges that are missing, set their qdiscs, and connect them; failures by port."""
        ends = network.ends()
        bridges = {port.bridge for port in wanted.values()}
        lines: list[Line] = [
            (None, ["link", "del", "dev", name])
            for name, end in ends.items()
            if _is_edge(name) and end.bridge in bridges and name not in wanted
        ]
        for name, port in wanted.items():
            near = ends.get(name)
            if near is not None and near.far == port.far:
                continue
            lines += [(None, ["link", "del", "dev", name])] if near is not None else []
            if name < port.far:
                lines.append((name, ["link", "add", "name", name, "type", "veth", "peer", "name", port.far]))
                lines += [*without_ipv6(name, name), *without_ipv6(name, port.far)]
        failed = network.batch(lines)
        with network.inside():
            for name, port in wanted.items():
                try:
                    if isinstance(port.qdisc, Qdisc):
                        run_commands(qdisc_commands(name, port.qdisc))
                except programs.CommandError as error:
                    failed[name] = str(error)
        for name, port in wanted.items():
            self._delays.forget(name)
            if port.moved is not None and network.path is not None:
                self._delays.set(name, port.moved, network.path, network.path)
        connect: list[Line] = []
        for name, port in wanted.items():
            connect.append((name, ["link", "set", "dev", name, "master", str(port.bridge), "up"]))
            connect.append((name, ["link", "set", "dev", name, *_ALONE]))
        return {**network.batch([line for line in connect if line[0] not in failed]), **failed}

    def _read_ports(self, network: RunNamespace) -> dict[str, Port]:
        ends = network.ends()
        qdiscs: Mapping[str, Qdisc | ForeignQdisc] = {}
        if network.path is not None:
            with network.inside():
                qdiscs = parse_qdiscs(read_qdiscs(), [Netem])
        return {
            name: Port(
                name,
                end.far or "",
                end.bridge if end.up else None,
                qdiscs.get(name),
                self._delays.active(name, network.path, network.path) if network.path is not None else None,
            )
            for name, end in ends.items()
            if _is_edge(name)
        }

    def _read_known(self, network: RunNamespace) -> dict[str, set[str]]:
        """The ports of edges behind which each MAC address is known for good."""
        found: dict[str, set[str]] = {}
        if network.path is not None:
            for entry in _entries(network):
                if entry.get("state") == "static" and _is_edge(str(entry.get("ifname"))):
                    found.setdefault(str(entry["mac"]), set()).add(str(entry["ifname"]))
        return found


def _plan_group(
    profile: Profile, numbers: Mapping[str, int], group: Sequence[int]
) -> tuple[dict[str, Ports], dict[str, Known]]:
    """The edges between the bridges of the devices that are in these partitions and in no others, by site."""
    ports: dict[str, list[Port]] = {site: [] for site in numbers}
    into: dict[str, set[str]] = {site: set() for site in numbers}
    for (first, second), link in profile.edges.items():
        name, far = (_end(numbers[one], numbers[other], group) for one, other in ((first, second), (second, first)))
        moved = plan_movement(Link(), link, name, f"{profile.seed}/{first}/{second}")
        port = Port(name, far, bridge_name(numbers[first], group), Netem.for_link(link), moved)
        ports[first].append(port)
        ports[second].append(port)
        into[second].add(name)
    return (
        {site: Ports(found) for site, found in ports.items()},
        {site: Known(frozenset(found)) for site, found in into.items()},
    )


def _end(near: int, far: int, group: Sequence[int]) -> str:
    """Name of an edge's end in the bridge of one site; the kernel allows 15 characters."""
    prefix = "" if not group else bridge_name(near, group).rpartition("-")[0]
    return f"e{prefix}{near}-{far}"


def _entries(network: RunNamespace) -> Iterator[Mapping[str, Any]]:
    with network.inside():
        shown = json.loads(programs.run(["bridge", "-json", "fdb", "show"]) or "[]")
    yield from shown


def _is_edge(name: str) -> bool:
    return name.startswith("e") and "-" in name
