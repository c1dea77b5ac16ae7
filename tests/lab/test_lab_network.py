"""Devices of a run on several lab hosts, on a real kernel: one network, isolated, with what is real taken off."""

from __future__ import annotations

import itertools
import json
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from fedsim_runner.agent.host import programs
from fedsim_runner.agent.kernel import netns, rtnetlink
from fedsim_runner.agent.lab_network.delays import Reached
from fedsim_runner.agent.lab_network.receive_offload import has_gro
from fedsim_runner.agent.lab_network.vxlan import BRIDGE
from fedsim_runner.agent.links.network import wiring
from fedsim_runner.agent.links.network.wiring import mac_address, vxlan_name
from fedsim_runner.contract import events
from fedsim_runner.contract.device_file import DeviceFile, LabMember
from fedsim_runner.contract.lab_network import IDS, PORT, LabNetworkError
from fedsim_runner.contract.link import INTERFACE, Link, Links
from tests.lab.joined import Host, Hosts, joined

CARRIED = {"north": ["server", "a"], "south": ["b"], "west": ["c"]}


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    with joined(tmp_path, CARRIED) as made:
        yield made


def mtu_of(hosts: Hosts, device: str) -> int:
    with hosts.host_of(device).inside_device(device):
        interface = rtnetlink.find_interface(INTERFACE)
    assert interface is not None
    return interface.mtu


def recorded(hosts: Hosts, name: str, kind: type[events.Event]) -> list[events.Event]:
    return [event for event in hosts[name].events if isinstance(event, kind)]


def test_devices_of_several_lab_hosts_reach_each_other_under_their_own_addresses(hosts: Hosts) -> None:
    hosts.up()
    for source, target in (("b", "server"), ("server", "b"), ("c", "a"), ("b", "c"), ("a", "server")):
        assert [address for _, address in hosts.one_way_s(source, target)] == [hosts.addresses[source]]
    assert [mtu_of(hosts, name) for name in ("server", "a", "b", "c")] == [1450] * 4
    assert len(hosts.one_way_s("b", "server", size=1450 - 28)) == 1
    with hosts["north"].inside_run():
        assert not has_gro(vxlan_name(BRIDGE))


def test_joining_again_changes_nothing(hosts: Hosts) -> None:
    settled = hosts.up()
    assert hosts.settle() == settled
    assert [host.join(settled) for host in hosts.hosts.values()] == [[], [], []]
    assert len(recorded(hosts, "north", events.LabNetworkJoined)) == 1


def test_the_narrowest_way_gives_all_devices_their_mtu(tmp_path: Path) -> None:
    with joined(tmp_path, CARRIED, mtu=1400) as hosts:
        settled = hosts.up()
        assert settled.mtu == 1350
        assert mtu_of(hosts, "a") == 1350
        assert len(hosts.one_way_s("b", "server", size=1350 - 28)) == 1


def test_a_way_narrower_than_the_interfaces_at_its_ends_is_found(hosts: Hosts) -> None:
    with netns.inside(netns.of_process(hosts.lan.pid)):
        programs.run(["ip", "link", "set", "south", "mtu", "1300"])  # on the network's side: nobody says so
    with hosts["south"].inside():
        programs.run(["ip", "link", "set", "eth0", "mtu", "1500"])
    assert hosts.settle().mtu == 1300 - 50


def test_another_runs_id_is_left_alone(tmp_path: Path, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    settled = hosts.up()
    with joined(tmp_path, CARRIED, run="other", on=hosts) as others:
        names = (
            "fedsim_runner.agent.lab_network.lab_network.candidates",
            "fedsim_runner.contract.lab_network.candidates",
        )
        for name in names:
            monkeypatch.setattr(name, lambda run: [settled.vxlan_id, 7 * IDS])
        assert others.up().vxlan_id == 7 * IDS
        assert len(others.one_way_s("b", "server")) == 1
        assert len(hosts.one_way_s("b", "server")) == 1
        with pytest.raises(LabNetworkError, match="no VXLAN id"):
            for name in names:
                monkeypatch.setattr(name, lambda run: [settled.vxlan_id])
            with joined(tmp_path, CARRIED, run="third", on=hosts) as third:
                third.settle()


def test_the_kernel_refuses_an_id_that_was_taken_meanwhile(tmp_path: Path, hosts: Hosts) -> None:
    settled = hosts.up()
    with joined(tmp_path, CARRIED, run="other", on=hosts) as others:
        with pytest.raises(LabNetworkError, match="already exists"):
            others["south"].join(settled)
        assert len(hosts.one_way_s("b", "server")) == 1


def test_nothing_but_the_run_is_reached_from_a_device(tmp_path: Path, hosts: Hosts) -> None:
    hosts.up()
    with joined(tmp_path, CARRIED, run="other", on=hosts) as others:
        others.up()
        own = ["169.254.0.1", "169.254.0.2"]  # lab hosts' own on the run's network
        for address in [*own, hosts["north"].address, hosts["south"].address, "1.1.1.1"]:
            with (
                hosts["south"].inside_device("b"),
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel,
                pytest.raises(OSError, match="unreachable"),
            ):
                channel.connect((address, PORT))
        # Both runs have the same addresses: what one sends stays in it.
        with others.udp("server") as elsewhere, hosts.udp("server") as receiver, hosts.udp("b") as sender:
            port = receiver.getsockname()[1]
            elsewhere.settimeout(0.3)
            sender.sendto(b"x", (hosts.addresses["server"], port))
            assert receiver.recv(9) == b"x"
            sender.sendto(b"x", elsewhere.getsockname())
            with pytest.raises(TimeoutError):
                elsewhere.recv(9)


def send(frame: bytes, vxlan_id: int, source: str, target: str) -> None:
    """Send a frame to a run's id, as anybody can who reaches the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.bind((source, 0))
        channel.sendto(struct.pack(">II", 0x08000000, vxlan_id << 8) + frame, (target, PORT))


def received(host: Host) -> int:
    """How many frames have come to a lab host from the others."""
    with host.inside_run():
        shown = json.loads(programs.run(["ip", "-json", "-stats", "link", "show", vxlan_name(BRIDGE)]))
    return int(shown[0]["stats64"]["rx"]["packets"])


def test_only_lab_hosts_of_the_run_can_send_to_it(hosts: Hosts) -> None:
    settled = hosts.up()
    north, south, stranger = hosts["north"], hosts["south"], "198.19.251.99"
    frame = bytes.fromhex(f"ffffffffffff{mac_address(stranger).replace(':', '')}0800") + bytes(46)
    with south.inside():
        programs.run(["ip", "addr", "add", f"{stranger}/24", "dev", "eth0"])
        before = received(north)
        for vxlan_id in (settled.vxlan_id, settled.vxlan_id + 1):
            send(frame, vxlan_id, stranger, north.address)
        assert received(north) == before
        send(frame, settled.vxlan_id, south.address, north.address)
        assert received(north) == before + 1
        north.lab_network.close()  # the guard goes with the agent, and was what kept the stranger out
        send(frame, settled.vxlan_id, stranger, north.address)
        assert received(north) == before + 2


def test_what_is_between_lab_hosts_is_measured(hosts: Hosts) -> None:
    hosts.up()
    way = {event.peer: event.one_way_us for event in recorded(hosts, "north", events.LabHostReached)}
    assert set(way) == {"south", "west"}
    assert all(value is not None and 0 < value < 100_000 for value in way.values())
    assert [event.peer for event in recorded(hosts, "south", events.LabHostReached)] == ["north"]


#: How long packets are said to be under way from each lab host to any other.
WAYS_US = {"north": 30_000, "south": 20_000, "west": 10_000}


def say_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(members: Sequence[LabMember], *_: object) -> list[Reached]:
        return [Reached(one.name, WAYS_US[one.name]) for one in members]

    monkeypatch.setattr("fedsim_runner.agent.lab_network.delays.measure", measure)


def where_clients_talk(backend: str) -> Callable[[DeviceFile], DeviceFile]:
    return lambda found: replace(found, link_backend=backend, course=replace(found.course, clients_talk=True))


def test_what_is_real_is_taken_off_between_all_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    say_ways(monkeypatch)
    slow = Links(Link(delay_us=50_000), Link(delay_us=30_000))
    carried = {"north": ["server", "a"], "south": ["b", "d"], "west": ["c"]}
    links = dict.fromkeys(("a", "b", "c", "d"), slow)
    with joined(tmp_path, carried, links=links, changed=where_clients_talk("userspace")) as hosts:
        hosts.up()
        for source, target in itertools.permutations(["server", "a", "b", "c", "d"], 2):
            asked_us = (source != "server") * 50_000 + (target != "server") * 30_000
            if (there := hosts.host_of(source)) is not hosts.host_of(target):
                asked_us -= WAYS_US[there.name]
            measured = sorted(seconds for seconds, _ in hosts.one_way_s(source, target, count=5))
            assert measured[2] == pytest.approx(asked_us / 1e6, abs=0.008), (source, target)
        assert [recorded(hosts, name, events.LinksTooLong) for name in carried] == [[], [], []]
        assert hosts["south"].apply()["changed"] is False


def test_elsewhere_the_way_to_the_server_is_taken_off_the_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say_ways(monkeypatch)
    links = {name: Links(Link(delay_us=50_000), Link(delay_us=40_000)) for name in ("b", "d")}
    carried = {"north": ["server"], "south": ["b", "d"]}
    with joined(tmp_path, carried, links=links, changed=where_clients_talk("auto")) as hosts:
        settled = replace(hosts.settle(), backends={"north": "another", "south": "userspace"})
        south = hosts["south"]
        south.join(settled)
        south.lab_network.measure(south.settings)
        now = [(one.up.delay_us, one.down.delay_us) for one in south.links.now(south.settings.links).devices]
        assert now == [(20_000, 10_000)] * 2
        assert recorded(hosts, "south", events.ClientsTooClose) == [
            events.ClientsTooClose(("b", "d"), 30_000, lab_host="south")
        ]
        assert south.lab_network.delays_off


def test_a_delay_that_is_shorter_than_the_real_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    say_ways(monkeypatch)
    links = {
        "b": Links(Link(delay_us=50_000), Link(delay_us=28_000)),
        "d": Links(Link(delay_us=50_000), Link(delay_us=29_500)),
    }
    with joined(tmp_path, {"north": ["server"], "south": ["b", "d"]}, run="far", links=links) as far:
        settled, south = far.settle(), far["south"]
        south.join(settled)
        with south.inside():
            south.lab_network.measure(south.settings)
        assert recorded(far, "south", events.LinksTooLong) == [events.LinksTooLong(("b",), 30_000, lab_host="south")]
        assert len(south.lab_network.delays_off) == 1


def test_a_lab_host_that_does_not_answer_is_named(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedsim_runner.agent.lab_network.delays.REACHED_S", 0.3)
    settled = hosts.settle()
    hosts["south"].join(settled)
    with pytest.raises(LabNetworkError, match=f"north .198.19.251.1, UDP port {PORT}."):
        hosts["south"].apply()


def test_a_new_agent_takes_over_what_the_last_one_made(hosts: Hosts, tmp_path: Path) -> None:
    settled = hosts.up()
    south = hosts["south"]
    south.lab_network.close()
    south.links.join(replace(south.links.joined, mtu=1500), None)
    with south.inside():
        south.lab_network.resume(south.settings)
    assert south.links.joined.mtu == settled.mtu
    assert south.join(settled) == []


def test_a_partition_reaches_over_lab_hosts(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where devices are at a further bridge of their lab host: the first one leads to the others."""
    monkeypatch.setattr(wiring, "PORTS_PER_BRIDGE", 1)
    hosts.up()
    assert len(hosts.one_way_s("a", "b")) == len(hosts.one_way_s("c", "a")) == 1
    apart = {7: frozenset({"a", "b", "c"})}
    for host in hosts.hosts.values():
        results = host.links.change(lambda now: replace(now, partitions=apart))
        assert {name: result.failed for name, result in results.items()} == dict.fromkeys(results)
    assert len(hosts.one_way_s("b", "c")) == len(hosts.one_way_s("a", "c")) == 1
    assert hosts.one_way_s("a", "server") == hosts.one_way_s("b", "server") == []
    for host in hosts.hosts.values():
        host.links.change(lambda now: replace(now, partitions={}))
    assert len(hosts.one_way_s("b", "server")) == 1


def test_in_a_lab_of_several_back_ends_each_shapes_its_own_devices_links(
    tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "PORTS_PER_BRIDGE", 1)
    links = {
        name: Links(Link(delay_us=up), Link(delay_us=down))
        for name, up, down in (("server", 60_000, 30_000), ("a", 20_000, 10_000), ("b", 120_000, 90_000))
    }
    with joined(tmp_path, CARRIED, links=links) as hosts:
        settled = replace(hosts.settle(), backends={"north": backend, "south": "another", "west": backend})
        for host in hosts.hosts.values():
            host.join(settled)
        for host in hosts.hosts.values():
            host.apply()
        south = hosts["south"].links.now(hosts["south"].settings.links)
        assert south.peers
        assert all(one.up == Link() for one in south.peers)
        for source, target in (("b", "server"), ("server", "b"), ("a", "server"), ("a", "c"), ("b", "c")):
            asked_s = (
                links.get(source, Links(Link(), Link())).up.delay_us
                + links.get(target, Links(Link(), Link())).down.delay_us
            ) / 1e6
            measured = sorted(seconds for seconds, _ in hosts.one_way_s(source, target, count=9))
            assert measured[4] == pytest.approx(asked_s, abs=0.02), (source, target)
        assert hosts["south"].apply()["changed"] is False
