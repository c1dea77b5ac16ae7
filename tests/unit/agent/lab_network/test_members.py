"""Who is in a lab, as one of its hosts sees it."""

from __future__ import annotations

from dataclasses import replace

from fedsim_runner.agent.lab_network.members import members_of
from fedsim_runner.contract.device_file import DeviceFile, Lab, LabMember, Peer
from fedsim_runner.contract.link import Link, Links
from tests.device_files import device_file

LINKS = Links(Link(), Link())
HOSTS = (LabMember("north", "192.0.2.1"), LabMember("south", "192.0.2.2"), LabMember("west", "192.0.2.3"))


def of(lab_host: str, server: str = "north", **peers: str) -> DeviceFile:
    found = {address: Peer(f"on-{host}", LINKS, lab_host=host) for host, address in peers.items()}
    lab = Lab(hosts=HOSTS, server=server)
    return replace(device_file(), lab_host=lab_host, lab=lab, peers=found)


def test_a_run_on_one_lab_host_has_no_members() -> None:
    assert members_of(device_file()) is None
    assert members_of(of("another")) is None


def test_what_is_behind_each_lab_host_follows_from_the_device_file() -> None:
    members = members_of(of("south", north="198.18.0.1", west="198.18.0.9"))
    assert members is not None
    assert members.here == HOSTS[1]
    assert members.behind == {
        "02:fd:a9:fe:00:01": "192.0.2.1",  # the lab hosts themselves
        "02:fd:a9:fe:00:03": "192.0.2.3",
        "02:fd:c6:12:00:01": "192.0.2.1",
        "02:fd:c6:12:00:09": "192.0.2.3",
    }
    assert members.carried_by == {"on-north": "north", "on-west": "west"}


def test_devices_talk_to_those_on_the_servers_lab_host() -> None:
    for lab_host, partners in (("north", ["south", "west"]), ("south", ["north"])):
        members = members_of(of(lab_host))
        assert members is not None
        assert [one.name for one in members.partners] == partners


def test_where_clients_talk_all_lab_hosts_are_partners() -> None:
    found = of("south")
    members = members_of(replace(found, course=replace(found.course, clients_talk=True)))
    assert members is not None
    assert [one.name for one in members.partners] == ["north", "west"]
