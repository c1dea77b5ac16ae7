"""How long an answer takes over two links."""

from __future__ import annotations

import pytest

from fedsim_runner.contract.link import Link, Links
from fedsim_runner.contract.routes import routes_to_server
from fedsim_runner.contract.slow_links import answer_s, round_trip_s
from fedsim_runner.contract.time_scale import TimeScale
from fedsim_runner.contract.topology import Edge, Topology

NONE = Links(Link(), Link())


def both(**values: int) -> Links:
    return Links(Link(**values), Link(**values))


@pytest.mark.parametrize(
    ("one", "other", "seconds"),
    [
        (NONE, NONE, 0),
        (both(delay_us=70_000, rate_bps=12_000_000), NONE, 0),  # 4g and the like: nobody waits longer for them
        (both(delay_us=400_000), both(delay_us=100_000), 1),
        (both(delay_us=5_000_000), NONE, 10),
        (both(delay_us=5_000_000, jitter_us=1_000_000), both(delay_us=1_000), 13),
        (Links(Link(delay_us=3_000_000), Link()), NONE, 3),
        # 16 frames of 1514 bytes in each queue.
        (both(rate_bps=8_000), NONE, 49),
    ],
)
def test_the_slowest_answer(one: Links, other: Links, seconds: int) -> None:
    for links in ({"server": one, "client": other}, {"server": other, "client": one}):
        assert answer_s(routes_to_server("server", links)["client"]) == seconds


def test_in_dilated_time_an_answer_takes_as_many_device_seconds() -> None:
    for device_us, seconds in ((200_000, 0), (1_200_000, 12)):
        links = {"server": both(delay_us=4 * device_us), "client": NONE}
        assert answer_s(routes_to_server("server", links)["client"], TimeScale(0.25)) == seconds


def test_a_round_trip_has_the_delays_of_both_devices_in_both_directions() -> None:
    links = {"server": both(delay_us=1_000_000), "client": Links(Link(delay_us=500_000), Link(rate_bps=8_000))}
    assert round_trip_s(routes_to_server("server", links)["client"]) == 2.5


def test_the_edge_between_two_sites_counts_in_both_directions() -> None:
    edge = Edge("here", "there", Link(delay_us=1_000_000), Link(8_000, 3_000_000))
    topology = Topology({"server": "here", "near": "here", "far": "there"}, (edge,))
    routes = routes_to_server("server", dict.fromkeys(topology.sites, NONE), topology)
    assert {name: (round_trip_s(route), answer_s(route), route.sites) for name, route in routes.items()} == {
        "near": (0, 0, ()),
        "far": (4, 4 + 25, ("there", "here")),  # 16 frames of 1514 bytes wait for the rate
    }
    assert routes["far"].up == (Link(), edge.back, Link()) and routes["far"].down == (Link(), edge.there, Link())
