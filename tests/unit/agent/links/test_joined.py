"""What is real between lab hosts is taken off what is emulated."""

from __future__ import annotations

from fedsim_runner.agent.links.joined import Joined
from fedsim_runner.agent.links.profile import DeviceLink, Profile
from fedsim_runner.agent.links.wiring import plan_wires
from fedsim_runner.contract.link import Link


def profile(delay_us: int = 20_000) -> Profile:
    near = DeviceLink("near", "198.18.0.2", Link(delay_us=delay_us), Link(delay_us=delay_us, jitter_us=500))
    far = DeviceLink("far", "198.18.0.3", Link(1_000_000, delay_us), Link(delay_us=delay_us))
    return Profile([near], [far])


def test_without_other_lab_hosts_links_are_as_asked() -> None:
    assert Joined().of(profile()) == profile()


def test_only_devices_whose_packets_cross_lose_what_is_real() -> None:
    found = Joined(1450, {"far": 300}).of(profile())
    assert found.devices == profile().devices
    assert found.peers == [DeviceLink("far", "198.18.0.3", Link(1_000_000, 19_700), Link(delay_us=19_700))]
    assert plan_wires(found)["near"].interface.mtu == 1450


def test_no_delay_is_less_than_none_and_what_is_longer_by_more_than_links_may_be_off_is_named() -> None:
    joined = Joined(real_us={"near": 21_000})
    assert joined.of(profile()).devices[0].up == Link()
    assert joined.longer(profile()) == []
    assert joined.longer(profile(19_000)) == ["near"]
