"""Edges in the kernel: which bridges they connect, what they are named, and who is known behind them."""

from __future__ import annotations

from dataclasses import replace

from fedsim_runner.agent.links.netem.edges import EDGES, KNOWN, KernelEdges, Known, Ports
from fedsim_runner.agent.links.netem.moving_delays import MovingDelays
from fedsim_runner.agent.links.netem.qdisc import Netem
from fedsim_runner.agent.links.network.wiring import plan_wires
from fedsim_runner.agent.links.profile import DeviceLink, Profile
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.topology import Edge, Topology

THERE, BACK = Link(1_000_000, 20_000), Link(delay_us=30_000, jitter_us=5_000)
TOPOLOGY = Topology({"a": "eu", "b": "us", "c": "us", "d": "asia"}, (Edge("eu", "us", THERE, BACK),))
PROFILE = Profile(
    [DeviceLink(name, f"198.18.0.{number}", Link(), Link()) for number, name in enumerate("abcd", 1)], topology=TOPOLOGY
)


def planned(profile: Profile) -> dict[str, tuple[Ports, Known]]:
    found = {}
    for name, settings in KernelEdges(MovingDelays()).plan(profile).items():
        ports, known = settings[EDGES], settings[KNOWN]
        assert isinstance(ports, Ports) and isinstance(known, Known)
        found[name] = ports, known
    return found


def test_an_edge_is_a_pair_of_ports_with_a_direction_at_each_end() -> None:
    found = planned(PROFILE)
    ports, known = found["a"]
    assert [(port.name, port.far, port.bridge, port.qdisc) for port in ports.ports] == [
        ("e2-3", "e3-2", "br2", Netem.for_link(THERE)),
        ("e3-2", "e2-3", "br3", Netem.for_link(BACK)),
    ]
    assert [port.moved is not None for port in ports.ports] == [False, True]
    assert known.ports == {"e3-2"} and found["b"][1].ports == found["c"][1].ports == {"e2-3"}
    assert found["b"][0] == ports and found["d"] == (Ports([]), Known(frozenset()))
    wires = plan_wires(PROFILE, by_site=True)
    assert {name: wire.bridge for name, wire in wires.items()} == {"a": "br2", "b": "br3", "c": "br3", "d": "br1"}


def test_a_partition_has_bridges_and_edges_of_its_own() -> None:
    profile = replace(PROFILE, partitions={1: frozenset("ab")})
    found, wires = planned(profile), plan_wires(profile, by_site=True)
    names = {port.name for port in found["a"][0].ports}
    assert names == {port.name for port in found["b"][0].ports} and all(len(name) <= 15 for name in names)
    assert {port.bridge for port in found["a"][0].ports} == {wires["a"].bridge, wires["b"].bridge}
    assert wires["c"].bridge == "br3" and found["c"][1].ports == {"e2-3"}
    assert not names & {port.name for port in found["c"][0].ports}


def test_each_direction_of_an_edge_is_counted_in_all_partitions() -> None:
    edges = KernelEdges(MovingDelays())
    found = [(one.device, one.way, one.end) for one in edges.directions(PROFILE)]
    assert found == [("eu - us", "up", "e2-3"), ("eu - us", "down", "e3-2")]
    parted = edges.directions(replace(PROFILE, partitions={1: frozenset("ab")}))
    assert len({one.end for one in parted}) == 4 and {one.device for one in parted} == {"eu - us"}
    bare = Topology(TOPOLOGY.sites, (Edge("eu", "us", THERE, Link()),))
    assert [one.way for one in edges.directions(replace(PROFILE, topology=bare))] == ["up"]
    assert edges.directions(replace(PROFILE, topology=None)) == []


def test_what_measures_edges_is_at_its_site_and_known_behind_them() -> None:
    guest = DeviceLink("(at:us)", "198.18.1.1", Link(), Link())
    profile = replace(PROFILE, devices=[*PROFILE.devices, guest], guest_sites={"(at:us)": "us"})
    ports, known = planned(profile)["(at:us)"]
    assert (ports, known.ports) == (planned(PROFILE)["b"][0], {"e2-3"})
    assert plan_wires(profile, by_site=True)["(at:us)"].bridge == "br3"


def test_where_a_device_was_once_known_does_not_matter() -> None:
    wanted = Known(frozenset({"e2-3"}))
    assert wanted == Known(frozenset({"e2-3", "e3-3"}))
    assert wanted != Known(frozenset({"e3-2"})) and wanted != None  # noqa: E711


def test_without_a_topology_there_is_nothing_to_set() -> None:
    assert KernelEdges(MovingDelays()).plan(replace(PROFILE, topology=None)) == {name: {} for name in "abcd"}
