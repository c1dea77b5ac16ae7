"""Which bridge each device is at, and what connects bridges."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from fedsim_runner.agent.links.network import wiring
from fedsim_runner.agent.links.network.wiring import MOST_DEVICES, PORTS_PER_BRIDGE, plan_wires, upper_bridge
from fedsim_runner.agent.links.profile import DeviceLink, Profile
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.topology import Edge, Topology

KERNELS_PORTS, KERNELS_NAME = 1023, 15


def profile(count: int, topology: Topology | None = None) -> Profile:
    addresses = (f"198.18.{number // 250}.{number % 250 + 1}" for number in range(count))
    links = [DeviceLink(f"d{number}", address, Link(), Link()) for number, address in enumerate(addresses)]
    return Profile(links, server="d0", topology=topology)


def bridges(wanted: Profile, by_site: bool = False) -> dict[str, str]:
    wires = plan_wires(wanted, by_site)
    return {name: wire.bridge or "" for name, wire in wires.items()}


def star(sites: int) -> tuple[Edge, ...]:
    """Edges from the first site to all others; sites have numbers by name."""
    return tuple(Edge("s0000", f"s{number:04}", Link(), Link()) for number in range(1, sites))


@pytest.mark.parametrize("sites", [0, 2, 1000])
def test_no_bridge_has_more_ports_than_the_kernel_allows(sites: int) -> None:
    topology = Topology({f"d{number}": "s0000" for number in range(MOST_DEVICES)}, star(sites)) if sites else None
    if topology is not None:
        topology = replace(topology, sites=topology.sites | {f"x{number}": f"s{number:04}" for number in range(sites)})
    found = bridges(profile(MOST_DEVICES, topology), by_site=sites > 0)
    ports = Counter(found.values())
    for bridge in {*found.values(), *map(upper_bridge, found.values())}:
        assert len(f"{bridge}-up") <= KERNELS_NAME
        if upper_bridge(bridge) != bridge:
            ports[bridge] += 1
            ports[upper_bridge(bridge)] += 1
    if sites:
        ports["br1"] += sites - 1
        ports["br0"] += sites - 1
    assert max(ports.values()) <= KERNELS_PORTS
    assert len(found) == MOST_DEVICES


def test_devices_without_a_port_at_their_sites_bridge_are_at_further_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "PORTS_PER_BRIDGE", 2)
    assert list(bridges(profile(5)).values()) == ["br0", "br0", "br0a", "br0a", "br0b"]
    topology = Topology({"d0": "s0001", **{f"d{n}": "s0000" for n in range(1, 5)}}, star(2))
    found = bridges(replace(profile(6, topology), guest_sites={"d5": "s0001"}), by_site=True)
    assert list(found.values()) == ["br2", "br1", "br1a", "br1a", "br1b", "br2a"]
    assert {upper_bridge(one) for one in ("br0", "br0a", "br1", "br12")} == {"br0"}
    assert (upper_bridge("br12b"), upper_bridge("p00abcd-7a"), upper_bridge("p00abcd-7")) == (
        "br12",
        "p00abcd-7",
        "p00abcd-0",
    )


def test_a_thousand_devices_have_one_bridge() -> None:
    assert set(bridges(profile(PORTS_PER_BRIDGE)).values()) == {"br0"}


def test_partitions_of_a_large_site_have_further_bridges_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "PORTS_PER_BRIDGE", 1)
    found = bridges(replace(profile(3), partitions={1: frozenset({"d0", "d2"})}))
    assert found["d1"] == "br0a" and upper_bridge(found["d2"]) == found["d0"] != "br0"
