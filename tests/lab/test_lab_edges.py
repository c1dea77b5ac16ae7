"""Regions and topologies over several lab hosts, on a real kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from fedsim_runner.agent.lab_network.delays import Reached
from fedsim_runner.contract.device_file import DeviceFile, LabMember
from fedsim_runner.contract.lab_network import LabNetworkError
from fedsim_runner.contract.link import Link, Links
from fedsim_runner.contract.topology import Edge, Topology
from tests.lab.joined import Hosts, joined
from tests.lab.test_lab_encryption import has_wireguard

SLACK_S = 0.008


def between(topology: Topology, backend: str, clients_talk: bool = False) -> Callable[[DeviceFile], DeviceFile]:
    return lambda found: replace(
        found,
        topology=topology,
        link_backend=backend,
        course=replace(found.course, clients_talk=clients_talk),
    )


def delay_s(hosts: Hosts, source: str, target: str) -> float:
    """The least of some packets: one may be late where this process has to wait, but never early."""
    return min((seconds for seconds, _ in hosts.one_way_s(source, target, count=4)), default=float("inf"))


def edge(first: str, second: str, there_ms: int, back_ms: int) -> Edge:
    return Edge(first, second, Link(delay_us=there_ms * 1000), Link(delay_us=back_ms * 1000))


def test_regions_reach_over_lab_hosts(tmp_path: Path, backend: str) -> None:
    carried = {"north": ["server", "a"], "south": ["b", "c"], "west": ["d"]}
    sites = {"server": "east", "a": "west", "b": "east", "c": "west", "d": "south"}
    regions = Topology(
        sites, (edge("east", "west", 40, 60), edge("east", "south", 80, 100), edge("south", "west", 120, 140))
    )
    links = {name: Links(Link(delay_us=10_000), Link(delay_us=20_000)) for name in "abcd"}
    with joined(tmp_path, carried, links, changed=between(regions, backend, clients_talk=True)) as hosts:
        hosts.up()
        for pair in ("b-server", "server-b", "c-server", "server-c", "d-a", "a-d", "a-c", "d-c", "b-c"):
            source, target = pair.split("-")
            asked_us = 10_000 * (source != "server") + 20_000 * (target != "server")
            way = sites[source], sites[target]
            asked_us += regions.directions()[way].delay_us if way in regions.directions() else 0
            assert delay_s(hosts, source, target) == pytest.approx(asked_us / 1e6, abs=SLACK_S), pair
        assert [host.apply()["changed"] for host in hosts.hosts.values()] == [False] * 3
        for host in hosts.hosts.values():
            results = host.links.change(lambda now: replace(now, partitions={1: frozenset("ad")}))
            assert {name: result.failed for name, result in results.items()} == dict.fromkeys(results)
        assert delay_s(hosts, "a", "d") == pytest.approx(0.170, abs=SLACK_S)
        assert hosts.one_way_s("a", "c") == hosts.one_way_s("c", "d") == []


#: How long packets are said to be under way from each lab host to any other.
WAY_US = 15_000


@pytest.mark.parametrize("encrypt", [False, True])
def test_a_topology_reaches_over_lab_hosts(
    encrypt: bool, tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(members: Sequence[LabMember], *_: object) -> list[Reached]:
        return [Reached(one.name, WAY_US) for one in members]

    monkeypatch.setattr("fedsim_runner.agent.lab_network.delays.measure", measure)
    carried = {"north": ["server", "b"], "south": ["a"], "west": ["c"]}
    chain = Topology(
        {name: name for name in ("server", "a", "b", "c")},
        (edge("server", "a", 20, 30), edge("a", "b", 40, 50), edge("b", "c", 60, 70)),
        {"a": "server", "b": "a", "c": "b"},
    )
    with joined(tmp_path, carried, changed=between(chain, backend), encrypt=encrypt) as hosts:
        if encrypt and not has_wireguard():
            with pytest.raises(LabNetworkError, match="has no WireGuard"):
                hosts.settle()
            return
        assert bool(hosts.up().keys) is encrypt
        # What is said to be real is not: it is taken off all the same.
        for way, ms in {"a-server": 15, "server-a": 5, "b-a": 35, "c-server": 100, "server-c": 75}.items():
            source, target = way.split("-")
            assert delay_s(hosts, source, target) == pytest.approx(ms / 1000, abs=SLACK_S), way
        assert hosts.one_way_s("a", "c") == hosts.one_way_s("c", "a") == []


def test_edges_need_the_same_back_end_on_all_lab_hosts(tmp_path: Path, backend: str) -> None:
    regions = Topology({"server": "east", "a": "west"}, (edge("east", "west", 40, 60),))
    with joined(tmp_path, {"north": ["server"], "south": ["a"]}, changed=between(regions, backend)) as hosts:
        settled = replace(hosts.settle(), backends={"north": backend, "south": "another"})
        with pytest.raises(LabNetworkError, match="another on south"):
            hosts["north"].join(settled)
