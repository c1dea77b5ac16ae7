"""The run's network on a real kernel: what connects devices, what does not pass, and what is repaired."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.fedsim.testbed.plugins.module_utils._packet_trial import try_packet

from fedsim_runner.agent.host import programs
from fedsim_runner.agent.kernel import kernel_qdiscs, netns, rtnetlink
from fedsim_runner.agent.links.network import wiring
from fedsim_runner.agent.links.network.run_namespace import RunNamespace
from fedsim_runner.agent.links.profile import Profile
from fedsim_runner.agent.links.shaping.results import Result
from fedsim_runner.agent.links.shaping.shaper import Shaper
from fedsim_runner.agent.links.userspace import rule_set
from fedsim_runner.agent.links.userspace.queue_rule import IPTABLES_NFT
from fedsim_runner.contract.link import INTERFACE
from tests.lab.rig import Rig, end, hold_namespace, rig


@pytest.fixture
def lab() -> Iterator[Rig]:
    assert os.geteuid() == 0, "these tests create network namespaces: run them as root"
    with rig("server", "a", "b") as made:
        yield made


def connect(lab: Rig, **kind: bool) -> dict[str, Result]:
    """Connect all devices without shaping their links, as a new agent does."""
    shaper = Shaper([], lab.network, Profile(lab.links(), server="server"), None)
    results = shaper.apply(lab.namespaces, **kind)
    assert {name: result.failed for name, result in results.items()} == dict.fromkeys(results)
    return results


def items(result: Result) -> list[str]:
    return [entry["item"] for entry in result.diff]


def reach(lab: Rig) -> bool:
    """Whether each device gets a packet from each other one."""
    pairs = [(one, other) for one in lab.addresses for other in lab.addresses if one != other]
    return all(len(lab.one_way_s(*pair, count=1)) == 1 for pair in pairs)


def shown(lab: Rig, name: str, *arguments: str) -> list[dict[str, Any]]:
    """What ``ip`` says in a device's namespace; "network" is the run's."""
    with netns.inside(lab.network.path or "" if name == "network" else lab.namespaces[name]):
        found: list[dict[str, Any]] = json.loads(programs.run(["ip", "-json", *arguments]) or "[]")
    return found


def test_check_connect_and_connect_again(lab: Rig) -> None:
    checked = connect(lab, check=True)
    assert set(checked) == set(lab.addresses)
    assert all(items(result) == ["interface", "neighbours", "port"] for result in checked.values())
    assert shown(lab, "network", "link") == shown(lab, "network", "link", "show", "dev", "lo")
    assert connect(lab) == checked
    assert not any(result.changed for result in connect(lab).values())
    assert reach(lab)


def test_neighbours_are_known_and_there_is_no_ipv6(lab: Rig) -> None:
    connect(lab)
    macs = {name: wiring.mac_address(address) for name, address in lab.addresses.items()}

    def known(name: str) -> dict[str, str]:
        found = shown(lab, name, "neigh", "show", "nud", "permanent")
        return {entry["dst"]: entry["lladdr"] for entry in found}

    assert known("server") == {lab.addresses[name]: macs[name] for name in ("a", "b")}
    assert known("a") == {lab.addresses["server"]: macs["server"]}
    for name in ("network", *lab.addresses):
        families = {
            (entry["ifname"], address["family"])
            for entry in shown(lab, name, "address")
            for address in entry["addr_info"]
        }
        assert families == (set() if name == "network" else {("eth0", "inet")})
    assert {entry.get("ifalias") for entry in shown(lab, "network", "-details", "link")} >= set(lab.addresses)


def test_devices_beyond_the_ports_of_one_bridge_reach_the_others(lab: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "PORTS_PER_BRIDGE", 1)
    assert connect(lab)["b"].diff[-1] == {"item": "port", "before": "none", "after": "br0b"}
    assert reach(lab)
    assert not any(result.changed for result in connect(lab).values())
    with lab.network.inside():
        programs.run(["ip", "link", "set", "dev", "to-br0b", "down"])
    assert [name for name, result in connect(lab).items() if result.changed] == ["b"]
    assert reach(lab)


@pytest.mark.parametrize(
    ("place", "command", "changed"),
    [
        ("network", "link set br0 down", {"server": ["port"], "a": ["port"], "b": ["port"]}),
        ("network", "link set v{a} nomaster", {"a": ["port"]}),
        ("network", "link del v{a}", {"a": ["interface", "neighbours", "port"]}),
        ("a", "link set eth0 down", {"a": ["interface", "neighbours"]}),
        ("a", "link set eth0 address 02:00:00:00:00:01", {"a": ["interface", "neighbours"]}),
        ("a", "addr add 198.18.0.77/24 dev eth0", {"a": ["interface"]}),
        ("a", "addr add fe80::1/64 dev eth0", {"a": ["interface"]}),
        ("server", "neigh del 198.18.0.3 dev eth0", {"server": ["neighbours"]}),
        ("server", "neigh add 198.18.0.9 lladdr 02:00:00:00:00:01 dev eth0", {"server": ["neighbours"]}),
    ],
)
def test_what_somebody_changed_is_named_and_restored(
    lab: Rig, place: str, command: str, changed: dict[str, list[str]]
) -> None:
    connect(lab)
    ends = {name: wiring.end_name(address)[1:] for name, address in lab.addresses.items()}
    with netns.inside(lab.network.path or "" if place == "network" else lab.namespaces[place]):
        programs.run(["ip", *command.format(**ends).split()])
    again = connect(lab)
    assert {name: items(result) for name, result in again.items() if result.changed} == changed
    assert reach(lab)
    assert not any(result.changed for result in connect(lab).values())


def test_an_interface_of_another_origin_is_replaced(lab: Rig) -> None:
    with netns.inside(lab.namespaces["a"]):
        programs.run(["ip", "link", "add", INTERFACE, "type", "veth", "peer", "name", "other"])
    connect(lab)
    assert reach(lab)
    with netns.inside(lab.namespaces["a"]):
        assert rtnetlink.find_interface("other") is None


def test_a_restarted_device_takes_its_old_place(lab: Rig) -> None:
    connect(lab)
    # As long as somebody is in the old namespace, its interface stays.
    with netns.inside(lab.namespaces["a"]):
        lab.remove("a")
        lab.add("a")
        assert [name for name, result in connect(lab).items() if result.changed] == ["a"]
    assert reach(lab)


@pytest.mark.parametrize(
    "changed",
    [
        {"server": 2, "b": 3, "a": 4},
        {"new": 2, "server": 3, "a": 4, "b": 5},
        {"server": 2, "b": 3},
        {"server": 2, "renamed": 3, "b": 4},
        {"b": 2, "a": 3, "server": 4},
    ],
    ids=["swapped", "inserted", "removed", "renamed", "reversed"],
)
def test_one_agent_connects_devices_whose_addresses_were_given_anew(changed: dict[str, int], lab: Rig) -> None:
    shaper = Shaper([], lab.network, Profile(lab.links(), server="server"), None)
    shaper.apply(lab.namespaces)
    for name in lab.addresses.keys() - changed.keys():
        lab.remove(name)
    lab.addresses = {name: f"198.18.0.{number}" for name, number in changed.items()}
    for name in changed.keys() - lab.holders.keys():
        lab.add(name)
    shaper.set_profile(Profile(lab.links(), server="server"), None)
    results = shaper.apply(lab.namespaces)
    assert {name: result.failed for name, result in results.items()} == dict.fromkeys(changed)
    assert reach(lab)
    assert not any(result.changed for result in shaper.apply(lab.namespaces).values())


def test_the_lab_host_may_route_these_addresses_elsewhere(lab: Rig) -> None:
    """As a VPN does: neither a route, nor a rule, nor the same address on the lab host itself matters."""
    host = [
        ("link add fedsim-vpn type bridge", "link del fedsim-vpn"),
        (f"addr add {lab.addresses['a']}/15 dev fedsim-vpn", None),
        ("link set fedsim-vpn up", None),
        ("rule add to 198.18.0.0/15 blackhole pref 100", "rule del to 198.18.0.0/15 blackhole pref 100"),
    ]
    with ExitStack() as undo:
        for command, undone in host:
            programs.run(["ip", *command.split()])
            if undone is not None:
                undo.callback(programs.run, ["ip", *undone.split()])
        connect(lab)
        assert reach(lab)


def test_devices_are_connected_again_when_the_network_is_a_new_one(lab: Rig) -> None:
    connect(lab)
    holder = hold_namespace()
    try:
        lab.network = RunNamespace(netns.of_process(holder.pid))
        assert all(result.changed for result in connect(lab).values())
        assert reach(lab)
    finally:
        end(holder)


def test_nothing_is_shaped_or_connected_without_the_network(lab: Rig) -> None:
    lab.network.path = None
    assert all(result.changed for result in connect(lab, check=True).values())
    lab.network.path = "/proc/0/ns/net"
    shaper = Shaper([], lab.network, Profile(lab.links()), None)
    with pytest.raises(FileNotFoundError):
        shaper.apply(lab.namespaces)


def test_a_command_that_fails_is_named_with_its_device_and_spares_the_others(lab: Rig) -> None:
    lines = [
        ("a", ["link", "set", "dev", "nonesuch", "up"]),
        (None, ["link", "del", "dev", "nonesuch"]),
        ("b", ["link", "set", "dev", "lo", "up"]),
        ("b", ["link", "add", "name", "dull", "type", "nonesuch"]),
        ("server", ["link", "set", "dev", "lo", "alias", "done"]),
    ]
    failed = lab.network.batch(lines)
    assert failed.keys() == {"a", "b"}
    assert failed["a"] == 'ip link set dev nonesuch up: Cannot find device "nonesuch"'
    assert failed["b"].startswith("ip link add name dull type nonesuch: ")
    assert shown(lab, "network", "-details", "link", "show", "dev", "lo")[0]["ifalias"] == "done"


def test_what_is_in_force_is_known_without_a_program(lab: Rig) -> None:
    with netns.inside(lab.namespaces["a"]):
        programs.run(["ip", "link", "set", "lo", "up"])
        index = 1  # lo
        assert kernel_qdiscs.raw_qdiscs(index) == kernel_qdiscs.raw_qdiscs(index)
        first = kernel_qdiscs.raw_qdiscs(index)
        programs.run(
            ["tc", "qdisc", "replace", "dev", "lo", "root", "tbf", "rate", "1mbit", "burst", "9k", "limit", "9k"]
        )
        limited = kernel_qdiscs.raw_qdiscs(index)
        programs.run(["ip", "link", "set", "lo", "mtu", "1400"])
        assert first != limited == kernel_qdiscs.raw_qdiscs(index)
        programs.run(
            ["tc", "qdisc", "change", "dev", "lo", "root", "tbf", "rate", "2mbit", "burst", "9k", "limit", "9k"]
        )
        assert kernel_qdiscs.raw_qdiscs(index) != limited


def test_nftables_counts_the_changes_of_a_namespace(lab: Rig) -> None:
    rule = ["-t", "mangle", "PREROUTING", "-i", INTERFACE, "-j", "ACCEPT"]
    seen = []
    for name, change in (("a", None), ("a", "-A"), ("a", None), ("a", "-D"), ("b", None)):
        with netns.inside(lab.namespaces[name]):
            if change is not None:
                programs.run([IPTABLES_NFT, *rule[:2], change, *rule[2:]])
            seen.append(rule_set.read_rule_set())
    fresh, added, again, deleted, other = seen
    assert fresh is not None and other is not None and fresh.untouched and other.untouched and fresh != other
    assert added is not None and not added.untouched and added == again != deleted
    assert deleted is not None and not deleted.untouched


@pytest.mark.parametrize("forwards", [True, False])
def test_a_firewall_of_the_lab_host_that_lets_nothing_through_does_not_matter(forwards: bool) -> None:
    """The lab host drops all, and looks at what bridges carry. The trial of its probe says the same."""
    with netns.scratch():
        if not forwards:
            Path("/proc/sys/net/bridge/bridge-nf-call-iptables").write_text("1")
            for chain in ("INPUT", "FORWARD", "OUTPUT"):
                programs.run(["iptables", "-P", chain, "DROP"])
        with rig("server", "a", "b") as lab:
            connect(lab)
            assert reach(lab)
        assert try_packet("ip") == ""


def test_the_trial_of_a_packet_names_what_stops_it(tmp_path: Path) -> None:
    assert "No such file" in try_packet(str(tmp_path / "ip"))
    # A bridge that is down carries nothing.
    program = tmp_path / "ip"
    program.write_text('#!/bin/sh\nsed "s/link set br0 up/link set br0 down/" | /sbin/ip "$@"\n')
    program.chmod(0o755)
    assert try_packet(str(program)) == "none of 3 s arrived"
