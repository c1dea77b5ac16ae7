"""The path of a client to the server: what its two links are together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim_runner.catalog.types import NetworkProfile
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.topology import Edge, Topology
from fedsim_runner.plan.model import Plan
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.plan.plan_data import plan_as_dict
from fedsim_runner.plan.server_paths import alike, server_paths
from tests.builders import experiment, lab_host

LAN = NetworkProfile("lan", Link(10_000_000, 1_000), Link(4_000_000, 2_000))
HOME = NetworkProfile("home", Link(8_000_000, 10_000, 5_000), Link(20_000_000, 20_000))
FREE = NetworkProfile("free", Link(), Link())


def planned(server: NetworkProfile, *clients: NetworkProfile) -> Plan:
    study = experiment(len(clients))
    devices = [replace(one, network=link) for one, link in zip(study.devices, (server, *clients), strict=True)]
    return make_plan(replace(study, devices=tuple(devices)), [lab_host(cpus=64)], "study")


def test_the_slower_link_gives_the_rate_and_all_delays_the_round_trip() -> None:
    (path,) = server_paths(planned(LAN, HOME))
    assert path.round_trip_s == pytest.approx(0.033)
    assert path.up.rate_bps == 4_000_000  # the server's downlink
    assert path.down.rate_bps == 10_000_000  # the server's uplink
    assert path.up.product_bytes(path.round_trip_s) == pytest.approx(16_500)
    assert (path.up.queue_bytes, path.down.queue_bytes) == (50_000, 125_000)  # 100 ms


def test_a_path_without_a_rate_has_neither_product_nor_queue() -> None:
    (path,) = server_paths(planned(FREE, FREE))
    assert path.up.product_bytes(path.round_trip_s) is None
    assert path.up.queue_bytes is None
    assert plan_as_dict(planned(FREE, FREE))["server_paths"]["phone-1"]["up"] == {
        "rate_bps": None,
        "bandwidth_delay_bytes": None,
        "queue_bytes": None,
    }


def test_the_edge_between_two_regions_counts() -> None:
    plan = planned(LAN, HOME, HOME)
    edge = Edge("eu", "us", Link(2_000_000, 45_000), Link(3_000_000, 50_000))
    sites = {"server": "us", "phone-1": "eu", "phone-2": "us"}
    near, far = sorted(
        server_paths(replace(plan, experiment=replace(plan.experiment, topology=Topology(sites, (edge,))))),
        key=lambda path: path.round_trip_s,
    )
    assert (near.client, near.sites) == ("phone-2", ())
    assert (far.client, far.sites) == ("phone-1", ("eu", "us"))
    assert far.round_trip_s == pytest.approx(near.round_trip_s + 0.095)
    assert (far.up.rate_bps, far.down.rate_bps) == (2_000_000, 3_000_000)


def test_clients_with_the_same_path_are_one_row() -> None:
    rows = alike(server_paths(planned(LAN, HOME, FREE, HOME)))
    assert [(path.client, clients) for path, clients in rows.items()] == [
        ("phone-1", ["phone-1", "phone-3"]),
        ("phone-2", ["phone-2"]),
    ]
