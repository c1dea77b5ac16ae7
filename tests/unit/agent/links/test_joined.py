"""What is real between lab hosts is taken off what is emulated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim_runner.agent.links.joined import Joined
from fedsim_runner.agent.links.network.wiring import plan_wires
from fedsim_runner.agent.links.profile import DeviceLink, Profile
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.topology import Edge, Topology


def profile(delay_us: int = 20_000) -> Profile:
    near = DeviceLink("near", "198.18.0.2", Link(delay_us=delay_us), Link(delay_us=delay_us, jitter_us=500))
    far = DeviceLink("far", "198.18.0.3", Link(1_000_000, delay_us), Link(delay_us=delay_us))
    return Profile([near], [far], server="far")


def test_without_other_lab_hosts_links_are_as_asked() -> None:
    assert Joined().of(profile()) == profile()


def test_links_of_clients_elsewhere_are_shorter_by_the_way_to_the_servers_lab_host() -> None:
    found = Joined(1450, {"far": 300}).of(replace(profile(), server="near"))
    assert found.devices == profile().devices
    assert found.peers == [DeviceLink("far", "198.18.0.3", Link(1_000_000, 19_700), Link(delay_us=19_700))]
    assert plan_wires(found)["near"].interface.mtu == 1450


def test_a_back_end_that_knows_senders_takes_the_way_off_what_they_send() -> None:
    found = Joined(1450, {"far": 300}, 300, by_sender=True).of(profile())
    assert (found.devices, found.peers) == (profile().devices, profile().peers)
    assert found.ways_us == {"198.18.0.3": 300}


@pytest.mark.parametrize(
    ("by_sender", "delay_us", "named"),
    [(False, 20_000, {}), (False, 19_000, {"near": 21_000}), (True, 10_000, {}), (True, 9_000, {"near": 21_000})],
)
def test_a_way_longer_than_the_delay_by_more_than_links_may_be_off_is_named(
    by_sender: bool, delay_us: int, named: dict[str, int]
) -> None:
    joined = Joined(1450, {"far": 21_000}, 21_000, by_sender=by_sender)
    assert joined.longer(profile(delay_us)) == named
    assert joined.of(profile(20_000)).devices[0].up.delay_us == (20_000 if by_sender else 0)


def test_the_edge_between_two_devices_counts() -> None:
    joined = Joined(1450, {"far": 21_000}, 21_000, by_sender=True)
    edge = Edge("near", "far", Link(delay_us=15_000), Link(delay_us=15_000))
    topology = Topology({"near": "near", "far": "far"}, (edge,), {"near": "far"})
    assert joined.longer(replace(profile(3_000), topology=topology)) == {}
    assert joined.longer(replace(profile(1_000), topology=topology)) == {"near": 21_000}


def test_clients_that_talk_to_each_other_on_one_lab_host_are_named() -> None:
    both = replace(profile(), devices=[*profile().devices, DeviceLink("by", "198.18.0.4", Link(), Link())])
    joined = Joined(1450, {"far": 5_000}, 5_000)
    assert joined.shorter(both) == []
    assert joined.shorter(replace(both, clients_talk=True)) == ["near"]
    assert joined.shorter(replace(profile(), clients_talk=True)) == []
    assert Joined(1450, {"far": 5_000}, 5_000, by_sender=True).shorter(replace(both, clients_talk=True)) == []
