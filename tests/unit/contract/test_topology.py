"""Ways over sites, and what packets cross on them."""

from __future__ import annotations

from fedsim_runner.contract.link import Link, Links
from fedsim_runner.contract.routes import routes_to_server
from fedsim_runner.contract.topology import Edge, Topology
from fedsim_runner.contract.typed_json import dump, load

NAMES = ("server", "a", "b", "c", "d")
TOPOLOGY = Topology(
    {name: name for name in NAMES},
    (
        Edge("server", "a", Link(delay_us=1), Link(delay_us=2)),
        Edge("b", "a", Link(delay_us=3), Link(delay_us=4)),
        Edge("c", "b", Link(delay_us=5), Link(delay_us=6)),
        Edge("d", "a", Link(), Link()),
    ),
    {"a": "server", "b": "a", "c": "b", "d": "a"},
)


def test_the_way_leads_towards_the_server_until_both_meet() -> None:
    assert TOPOLOGY.between("c", "server") == ("c", "b", "a", "server")
    assert TOPOLOGY.between("server", "b") == ("server", "a", "b")
    assert TOPOLOGY.between("c", "d") == ("c", "b", "a", "d")
    assert TOPOLOGY.between("c", "b") == ("c", "b")
    assert load(Topology, dump(TOPOLOGY)) == TOPOLOGY


def test_each_hop_takes_the_senders_uplink_the_edge_and_the_receivers_downlink() -> None:
    links = {name: Links(Link(delay_us=100 * n), Link(delay_us=1000 * n)) for n, name in enumerate(NAMES, 1)}
    routes = routes_to_server("server", links, TOPOLOGY)
    assert [link.delay_us for link in routes["b"].up] == [300, 3, 2000, 200, 2, 1000]
    assert [link.delay_us for link in routes["b"].down] == [100, 1, 2000, 200, 4, 3000]
    assert routes["b"].edges == (("b", "a"), ("a", "server"))
