"""Links as arguments of tc and iptables, and read back from tc's output."""

from __future__ import annotations

from typing import Any

import pytest

from fedsim_runner.agent.kernel import root_qdisc
from fedsim_runner.agent.links import backends
from fedsim_runner.agent.links.netem.backend import Backend as NetemBackend
from fedsim_runner.agent.links.netem.qdisc import Netem
from fedsim_runner.agent.links.profile import DeviceLink, Profile
from fedsim_runner.agent.links.userspace import queue_rule
from fedsim_runner.agent.links.userspace.arrivals import Arrivals
from fedsim_runner.agent.links.userspace.backend import Backend as Userspace
from fedsim_runner.agent.links.userspace.qdisc import Tbf
from fedsim_runner.contract.link import Link

FILTER = "prio 1 protocol all handle 1 basic"
POLICERS = [
    f"action police index 7 {room} mtu 65536 conform-exceed drop/ok"
    for room in ("rate 20000000bit burst 250000b", "rate 50000bit burst 24224b")
]
G5 = Link(20_000_000, 15_000, 3_000, 0.001)
GOLDEN = [
    (
        G5,
        [
            "qdisc root handle 11: netem limit 20360 delay 15000us loss random 0.1% corrupt 0% rate 100000000000bit",
            f"qdisc parent 11:1 handle 4: prio bands 2 priomap{16 * ' 0'}",
            f"filter parent 4: {FILTER} {POLICERS[0]}",
            f"actions replace {POLICERS[0]}",
            "qdisc parent 4:1 handle 3: netem limit 3906 rate 20000000bit",
        ],
    ),
    (
        Link(50_000, 300_000),
        [
            "qdisc root handle 1: netem limit 20030 delay 300000us corrupt 0%",
            f"qdisc parent 1:1 handle 4: prio bands 2 priomap{16 * ' 0'}",
            f"filter parent 4: {FILTER} {POLICERS[1]}",
            f"actions replace {POLICERS[1]}",
            "qdisc parent 4:1 handle 3: netem limit 378 rate 50000bit",
        ],
    ),
    (Link(None, 1_000, 500), ["qdisc root handle 12: netem limit 21239 delay 1000us corrupt 0% rate 100000000000bit"]),
    (Link(None, 0, 0, 0.25), ["qdisc root handle 2: netem limit 20000 loss random 25% corrupt 0%"]),
]


@pytest.mark.parametrize(("link", "commands"), GOLDEN)
def test_netem_commands(link: Link, commands: list[str]) -> None:
    lines = root_qdisc.qdisc_commands("eth0", 7, Netem.for_link(link))
    expected = [
        command if command.startswith("actions ") else command.replace(" ", " replace dev eth0 ", 1)
        for command in commands
    ]
    assert [" ".join(line) for line in lines] == expected


@pytest.mark.parametrize(
    ("rate", "arguments"),
    [
        (50_000, "rate 200000bit burst 1600b limit 25824b"),
        (20_000_000, "rate 80000000bit burst 10000b limit 260000b"),
        (1_000_000_000, "rate 4000000000bit burst 500000b limit 13000000b"),
    ],
)
def test_tbf_keeps_floods_out_and_lets_every_connection_through(rate: int, arguments: str) -> None:
    (words,) = root_qdisc.qdisc_commands("v1", 7, Tbf.for_link(Link(rate, 50_000)))
    assert " ".join(words) == f"qdisc replace dev v1 root tbf {arguments}"


def test_no_link_no_qdisc() -> None:
    assert Netem.for_link(Link()) is None and Tbf.for_link(Link(None, 5)) is None
    assert root_qdisc.qdisc_commands("eth0", 7, None) == [["qdisc", "del", "dev", "eth0", "root"]]


def test_qdiscs_that_tc_shows_match_the_requested_ones() -> None:
    shown: list[dict[str, Any]] = [
        {"kind": "noqueue", "handle": "0:", "dev": "lo", "root": True, "options": {}},
        {
            "kind": "netem",
            "handle": "8001:",
            "dev": "a",
            "root": True,
            "options": {
                "limit": 777,
                "delay": {"delay": 0.052499, "jitter": 0, "correlation": 0},
                "loss-random": {"loss": 0.015, "correlation": 0},
                "rate": {"rate": 12500000000, "packetoverhead": 0},
            },
        },
        {
            "kind": "netem",
            "handle": "3:",
            "dev": "a",
            "parent": "4:1",
            "options": {"limit": 378, "rate": {"rate": 250000, "packetoverhead": 0}},
        },
        # 64 ns is what the kernel counts a burst in.
        {"kind": "prio", "handle": "4:", "dev": "a", "parent": "11:1", "options": {}, "policed_s": 0.096895936},
        {"kind": "netem", "handle": "1:", "dev": "cut", "root": True, "options": {"limit": 777}},
        {
            "kind": "tbf",
            "handle": "8002:",
            "dev": "b",
            "root": True,
            "options": {"rate": 1250000, "burst": 20480, "burst_raw": "3e800", "lat": 147456, "limit": 204800},
        },
    ]
    found = root_qdisc.parse_qdiscs(shown, [Netem, Tbf])
    assert set(found) == {"a", "b", "cut"}
    assert Netem(2_000_000, 50_500, 3_000, 0.015, limit=777, waiting=378, queue=24_224).matches(found["a"])
    assert not Netem(2_000_000, 50_500, 3_000, 0.016, limit=777, waiting=378, queue=24_224).matches(found["a"])
    assert not Netem(2_000_000, 50_500, 1_000, 0.015, limit=777, waiting=378, queue=24_224).matches(found["a"])
    assert not Netem(2_000_000, 50_500, 3_000, 0.015, limit=777, waiting=378, queue=24_300).matches(found["a"])
    assert not Netem(2_000_000, 50_500, 3_000, 0.015, limit=777, waiting=16, queue=24_224).matches(found["a"])
    assert found["cut"] == Netem(limit=777), "without what is below it, no rate holds"
    assert Tbf(10_000_000, limit=204_800, burst=20_480).matches(found["b"])
    assert not Tbf(10_000_000, limit=204_800, burst=20_480).matches(None)
    assert not Netem(10_000_000, limit=204_800).matches(found["b"])


def test_the_queue_rule_is_recognised() -> None:
    assert " ".join(queue_rule.queue_rule_arguments(True)) == (
        "-w 5 -t mangle -A PREROUTING -i eth0 -j NFQUEUE --queue-num 0"
    )
    assert queue_rule.has_queue_rule("-P PREROUTING ACCEPT\n-A PREROUTING -i eth0 -j NFQUEUE --queue-num 0\n")
    assert not queue_rule.has_queue_rule("-A PREROUTING -i eth0 -j NFQUEUE --queue-num 0 --queue-bypass\n")


def test_one_lossy_sender_makes_every_receiver_take_single_packets() -> None:
    devices = [DeviceLink("a", "198.18.0.2", Link(loss=0.1), Link()), DeviceLink("b", "198.18.0.3", Link(), Link())]
    userspace = Userspace({})
    planned = userspace.plan(Profile(devices))
    queue = planned["b"]["arrivals"]
    assert not planned["a"]["arrivals"] and isinstance(queue, Arrivals) and queue.single_packets
    remote = [DeviceLink("c", "198.18.0.9", Link(delay_us=1000), Link())]
    assert userspace.plan(Profile(devices, remote))["a"]["arrivals"]
    assert NetemBackend({}).plan(Profile(devices))["b"]["frames in a packet"] == 1


@pytest.mark.parametrize(
    ("up", "down", "single"),
    [
        (Link(), Link(12_000_000), True),
        (Link(12_000_000), Link(), True),
        (Link(), Link(1_000_000_000), False),
        (Link(1_000_000_000), Link(), False),
        (Link(1_000_000_000, loss=0.1), Link(), True),
        (Link(), Link(1_000_000_000, loss=0.1), True),
    ],
)
def test_super_packets_are_split_for_a_slow_link_and_for_loss(up: Link, down: Link, single: bool) -> None:
    devices = [DeviceLink("a", "198.18.0.2", Link(), down), DeviceLink("b", "198.18.0.3", up, Link())]
    queue = Userspace({}).plan(Profile(devices))["a"]["arrivals"]
    assert isinstance(queue, Arrivals) and queue.single_packets is single


def test_the_back_end_is_chosen_by_what_the_links_need() -> None:
    probed = {
        "netem": False,
        "tbf": True,
        "nfqueue": False,
        "kernel": "5.15",
        "missing": [{"what": "netem", "fix": "F"}],
    }
    rates = [DeviceLink("a", "198.18.0.2", Link(1000), Link())]
    assert backends.choose("auto", Profile(rates), {**probed, "nfqueue": True}) == "userspace"
    with_netem = {**probed, "netem": True, "policer": True}
    assert backends.choose("auto", Profile(rates), with_netem) == "netem"
    delays = [DeviceLink("a", "198.18.0.2", Link(1000, 5), Link())]
    with pytest.raises(backends.UnshapableError, match=r"5\.15 .*netem \(F\); nfqueue"):
        backends.choose("auto", Profile(delays), probed)
    with pytest.raises(backends.UnshapableError, match=r"network\.backend: netem\): missing policer \(no fix known\)"):
        backends.choose("netem", Profile(rates), {**with_netem, "policer": False})
    assert backends.choose("netem", Profile([DeviceLink("a", "198.18.0.2", Link(), Link())]), probed) == "netem"
