"""Routes over other devices, from a topology alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim_runner.agent.links.network.ways import Ways, neighbours_of, plan_ways
from fedsim_runner.agent.links.network.wiring import mac_address, plan_wires
from fedsim_runner.agent.links.profile import DeviceLink, Profile
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.topology import Edge, Topology

NAMES = ("server", "a", "b", "c", "d")
ADDRESS = {name: f"198.18.0.{number}" for number, name in enumerate(NAMES, 1)}
#: server - a - b, with c and d behind b, and c and d neighbours of each other.
TOPOLOGY = Topology(
    {name: name for name in NAMES},
    tuple(Edge(*pair, Link(), Link()) for pair in (("server", "a"), ("b", "a"), ("b", "c"), ("b", "d"), ("c", "d"))),
    {"a": "server", "b": "a", "c": "b", "d": "b"},
)
PROFILE = Profile(
    [DeviceLink(name, ADDRESS[name], Link(), Link()) for name in NAMES[:3]],
    [DeviceLink(name, ADDRESS[name], Link(), Link()) for name in NAMES[3:]],
    server="server",
    topology=TOPOLOGY,
)


def by_name(routes: dict[str, str]) -> dict[str, str]:
    names = {address: name for name, address in ADDRESS.items()}
    return {names[receiver]: names[following] for receiver, following in routes.items()}


def shown(ways: Ways) -> tuple[dict[str, str], dict[str, str]]:
    return by_name(dict(ways.own)), by_name(dict(ways.passed))


def test_what_is_sent_and_what_is_passed_on() -> None:
    ways = plan_ways(PROFILE)
    assert ways.keys() == {"server", "a", "b"}, "those of this lab host"
    assert shown(ways["server"]) == ({"b": "a", "c": "a", "d": "a"}, {})
    assert shown(ways["a"]) == ({}, {"server": "server", "b": "b", "c": "b", "d": "b"})
    assert shown(ways["b"]) == ({"server": "a"}, {"server": "a", "c": "c", "d": "d"})


def test_clients_that_talk_reach_all_others() -> None:
    ways = plan_ways(replace(PROFILE, clients_talk=True))
    assert shown(ways["a"]) == ({"c": "b", "d": "b"}, {"server": "server", "b": "b", "c": "b", "d": "b"})
    # c and d are neighbours.
    assert shown(ways["b"])[1] == {"server": "a", "a": "a", "c": "c", "d": "d"}


def test_a_device_knows_its_neighbours() -> None:
    assert neighbours_of(PROFILE)["b"] == {ADDRESS[name] for name in "acd"}
    wires = plan_wires(PROFILE)
    assert wires["server"].neighbours.macs == {ADDRESS["a"]: mac_address(ADDRESS["a"])}
    assert wires["b"].ways == plan_ways(PROFILE)["b"]


def test_what_measures_links_is_at_no_site_and_has_no_routes() -> None:
    meter = DeviceLink("(meter)", "198.18.0.9", Link(), Link())
    wires = plan_wires(replace(PROFILE, devices=[*PROFILE.devices, meter]), by_site=True)
    assert wires["(meter)"].ways is None and wires["(meter)"].bridge == "br0"
    assert {name: wire.ways for name, wire in wires.items() if wire.ways} == plan_ways(PROFILE)


@pytest.mark.parametrize("topology", [None, Topology(dict.fromkeys(NAMES, "here"), ())])
def test_without_devices_that_pass_on_there_are_no_routes(topology: Topology | None) -> None:
    profile = replace(PROFILE, topology=topology)
    assert plan_ways(profile) == {} == neighbours_of(profile)
    assert all(wire.ways is None for wire in plan_wires(profile).values())
