"""The edges between sites in the kernel: veth pairs between the bridges of their sites, with a direction at each end.

Each site has a bridge. Edges neither learn nor take what has no known place, and no packet goes from one edge to
another: over an edge goes what is for the MAC addresses of the site at its other end, which are entered by hand. So
edges may make circles. (``sticky``: what else reaches the bridge does not move an entry.)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

from ...host import programs
from ...kernel import rtnetlink
from ...kernel.root_qdisc import ForeignQdisc, Qdisc, parse_qdiscs, qdisc_commands, read_qdiscs, run_commands
from ..changes import Failures, Settings
from ..network.run_namespace import Line, RunNamespace, without_ipv6
from ..network.wiring import bridge_name, mac_address, partitions_of, site_numbers
from ..profile import Profile
from .edge_ports import CROSSING, Elsewhere, Known, Planned, Port, Ports, edge_end, is_crossing, is_edge, plan_group
from .kernel_counts import Direction
from .moving_delays import MovingDelays
from .qdisc import Netem

EDGES, KNOWN, ELSEWHERE = "edges", "known over edges", "elsewhere"
_SILENT = ["type", "bridge_slave", "learning", "off", "flood", "off", "mcast_flood", "off", "bcast_flood", "off"]
_ALONE = [*_SILENT, "isolated", "on"]


class KernelEdges:
    """Plans, reads and sets the edges of one lab host."""

    def __init__(self, delays: MovingDelays) -> None:
        self._delays = delays
        self._macs: dict[str, str] = {}  # of this lab host's devices
        self._bridges: dict[str, str | None] = {}  # of these, the one that their site has
        self._elsewhere: dict[str, Elsewhere] = {}  # what is to be known of other lab hosts' for each of them

    def directions(self, profile: Profile) -> list[Direction]:
        """What of the edges is to be counted: those of all partitions, where anything happens to packets. Pure."""
        if profile.topology is None:
            return []
        numbers, names = site_numbers(profile), profile.topology.names()
        groups = sorted({tuple(partitions_of(one.device, profile)) for one in profile.devices})
        return [
            Direction(*names[first, second], link, edge_end(numbers[first], numbers[second], group), is_edge=True)
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
        planned: dict[tuple[int, ...], dict[str, Planned]] = {
            group: plan_group(profile, numbers, group) for group in set(groups.values())
        }
        found: dict[str, Settings] = {}
        self._elsewhere = {}
        for one in profile.devices:
            site = profile.site(one.device)
            if site is None:
                found[one.device] = {}
                continue
            edges = planned[groups[one.device]][site]
            found[one.device] = {EDGES: edges.ports, KNOWN: edges.known}
            if edges.elsewhere is not None:
                self._elsewhere[one.device] = edges.elsewhere
                found[one.device] = {**found[one.device], ELSEWHERE: edges.elsewhere}
        return found

    def read(self, devices: Sequence[str], network: RunNamespace) -> dict[str, Settings]:
        """What the kernel has for these devices."""
        if not any(self._bridges.get(name) for name in devices):
            return {name: {} for name in devices}
        ports, known = self._read_ports(network), self._read_known(network)
        # Those of sites, not their other ends.
        crossings = {port.bridge: port.name for port in ports.values() if port.name.endswith(f"-{CROSSING}")}
        entries = frozenset((mac, port) for mac, behind in known.items() for port in behind)
        elsewhere = {id(one): one.found_in(entries) for one in self._elsewhere.values()}  # devices of a site share one
        found: dict[str, Settings] = {}
        for name in devices:
            bridge, mac = self._bridges.get(name), self._macs.get(name)
            if bridge is None or mac is None:
                found[name] = {}
                continue
            own = _with_far_ends({port.name for port in ports.values() if port.bridge == bridge}, ports)
            own |= _with_far_ends({crossings[near] for one in own if (near := ports[one].bridge) in crossings}, ports)
            found[name] = {EDGES: Ports([ports[one] for one in own]), KNOWN: Known(frozenset(known.get(mac, ())))}
            if name in self._elsewhere:
                found[name] = {**found[name], ELSEWHERE: elsewhere[id(self._elsewhere[name])]}
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
            broken |= self._make(wanted, [self._bridges[name] for name in changes], network)
            for name, change in changes.items():
                edges = change.get(EDGES)
                names = (
                    [one for port in edges.ports for one in (port.name, port.bridge)]
                    if isinstance(edges, Ports)
                    else []
                )
                if (reason := next((broken[one] for one in names if one in broken), None)) is not None:
                    failed[name] = reason
        entries: dict[tuple[str, str], None] = {}
        for name, change in changes.items():
            known, elsewhere = change.get(KNOWN), change.get(ELSEWHERE)
            if name not in failed and isinstance(known, Known):
                entries |= dict.fromkeys((self._macs[name], port) for port in sorted(known.ports))
            if name not in failed and isinstance(elsewhere, Elsewhere):
                entries |= dict.fromkeys(sorted(elsewhere.entries))
        if entries:
            lines = [f"fdb replace {mac} dev {port} master static sticky\n" for mac, port in entries]
            with network.inside():
                programs.run(["bridge", "-batch", "-"], stdin="".join(lines))
        return failed

    def _make(self, wanted: Mapping[str, Port], bridges: Sequence[str | None], network: RunNamespace) -> Failures:
        """Make the edges that are missing, set their qdiscs, and connect them; failures by port.

        Edges that these bridges have besides, which are those of sites all of whose edges are wanted, are removed.
        """
        ends = network.ends()
        lines: list[Line] = [
            (None, ["link", "del", "dev", name])
            for name, end in ends.items()
            if is_edge(name) and end.bridge is not None and end.bridge in bridges and name not in wanted
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
                    if isinstance(port.qdisc, Qdisc) and (made := rtnetlink.find_interface(name)) is not None:
                        run_commands(qdisc_commands(name, made.index, port.qdisc))
                except programs.CommandError as error:
                    failed[name] = str(error)
        for name, port in wanted.items():
            self._delays.forget(name)
            if port.moved is not None and network.path is not None:
                self._delays.set(name, port.moved, network.path, network.path)
        connect: list[Line] = []
        for name, port in wanted.items():
            connect.append((name, ["link", "set", "dev", name, "master", str(port.bridge), "up"]))
            # Edges lead to other lab hosts.
            connect.append((name, ["link", "set", "dev", name, *(_SILENT if is_crossing(name) else _ALONE)]))
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
            if is_edge(name)
        }

    def _read_known(self, network: RunNamespace) -> dict[str, set[str]]:
        """The ports of edges behind which each MAC address is known for good."""
        found: dict[str, set[str]] = {}
        if network.path is not None:
            for entry in _entries(network):
                if entry.get("state") == "static" and is_edge(str(entry.get("ifname"))):
                    found.setdefault(str(entry["mac"]), set()).add(str(entry["ifname"]))
        return found


def _with_far_ends(names: Set[str], ports: Mapping[str, Port]) -> Set[str]:
    return names | {ports[name].far for name in names if ports[name].far in ports}


def _entries(network: RunNamespace) -> Iterator[Mapping[str, Any]]:
    with network.inside():
        shown = json.loads(programs.run(["bridge", "-json", "fdb", "show"]) or "[]")
    yield from shown
