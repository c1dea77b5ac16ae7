"""Links as arguments of tc and iptables, and back from what tc shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.agent.course.gate import Gate
from fedsim_runner.agent.course.tail import Tail
from fedsim_runner.agent.links import plan as links
from fedsim_runner.agent.links.plan import DeviceLink, Link, Qdisc

G5 = Link(20_000_000, 15_000, 3_000, 0.001)
GOLDEN = [
    (G5, "qdisc replace dev eth0 root netem limit 195 delay 15000us 3000us loss random 0.1% rate 20000000bit"),
    (Link(50_000, 300_000), "qdisc replace dev eth0 root netem limit 18 delay 300000us rate 50000bit"),
    (Link(None, 1_000, 500), "qdisc replace dev eth0 root netem limit 83802 delay 1000us 500us rate 100000000000bit"),
    (Link(None, 0, 0, 0.25), "qdisc replace dev eth0 root netem limit 82563 loss random 25%"),
]


@pytest.mark.parametrize(("link", "arguments"), GOLDEN)
def test_netem_arguments(link: Link, arguments: str) -> None:
    assert " ".join(links.qdisc_arguments("eth0", links.netem_qdisc(link))) == arguments


@pytest.mark.parametrize(
    ("rate", "arguments"),
    [
        (50_000, "burst 1600b limit 25824b"),
        (20_000_000, "burst 10000b limit 260000b"),
        (1_000_000_000, "burst 500000b limit 13000000b"),
    ],
)
def test_tbf_arguments(rate: int, arguments: str) -> None:
    words = links.qdisc_arguments("v1", links.tbf_qdisc(Link(rate, 50_000)))
    assert " ".join(words) == f"qdisc replace dev v1 root tbf rate {rate}bit {arguments}"


def test_no_link_no_qdisc() -> None:
    assert links.netem_qdisc(Link()) is None and links.tbf_qdisc(Link(None, 5)) is None
    assert links.qdisc_arguments("eth0", None) == ["qdisc", "del", "dev", "eth0", "root"]


def test_what_tc_shows_is_what_was_asked() -> None:
    shown: list[dict[str, Any]] = [
        {"kind": "noqueue", "handle": "0:", "dev": "lo", "root": True, "options": {}},
        {
            "kind": "netem",
            "handle": "8001:",
            "dev": "a",
            "root": True,
            "options": {
                "limit": 777,
                "delay": {"delay": 0.050499, "jitter": 0.003, "correlation": 0},
                "loss-random": {"loss": 0.015, "correlation": 0},
                "rate": {"rate": 250000, "packetoverhead": 0},
            },
        },
        {
            "kind": "tbf",
            "handle": "8002:",
            "dev": "b",
            "root": True,
            "options": {"rate": 1250000, "burst": 20480, "burst_raw": "3e800", "lat": 147456, "limit": 204800},
        },
    ]
    found = links.parse_qdiscs(shown)
    assert set(found) == {"a", "b"}
    assert links.same_qdisc(Qdisc("netem", 2_000_000, 50_500, 3_000, 0.015, limit=777), found["a"])
    assert not links.same_qdisc(Qdisc("netem", 2_000_000, 50_500, 3_000, 0.016, limit=777), found["a"])
    assert links.same_qdisc(Qdisc("tbf", 10_000_000, limit=204_800, burst=20_480), found["b"])
    assert not links.same_qdisc(None, found["b"])


def test_the_queue_rule_is_recognised() -> None:
    assert " ".join(links.queue_rule_arguments(True)) == (
        "-w 5 -t mangle -A PREROUTING -i eth0 -j NFQUEUE --queue-num 0"
    )
    assert links.has_queue_rule("-P PREROUTING ACCEPT\n-A PREROUTING -i eth0 -j NFQUEUE --queue-num 0\n")
    assert not links.has_queue_rule("-A PREROUTING -i eth0 -j NFQUEUE --queue-num 0 --queue-bypass\n")


def test_one_lossy_sender_makes_every_receiver_take_single_packets() -> None:
    devices = [DeviceLink("a", "198.18.0.2", Link(loss=0.1), Link()), DeviceLink("b", "198.18.0.3", Link(), Link())]
    shapes = links.shapes(devices, [], "userspace")
    assert not shapes["a"].queue and shapes["b"].queue and shapes["b"].per_packet
    far = [DeviceLink("c", "198.18.0.9", Link(delay_us=1000), Link())]
    assert links.shapes(devices, far, "userspace")["a"].queue
    assert links.shapes(devices, [], "netem")["b"].per_packet


def test_the_back_end_follows_what_links_need() -> None:
    probed = {
        "netem": False,
        "tbf": True,
        "nfqueue": False,
        "kernel": "5.15",
        "missing": [{"what": "netem", "fix": "F"}],
    }
    rates = [DeviceLink("a", "198.18.0.2", Link(1000), Link())]
    assert links.choose_backend("auto", rates, [], probed) == "userspace"
    assert links.choose_backend("auto", rates, [], {**probed, "netem": True}) == "netem"
    delays = [DeviceLink("a", "198.18.0.2", Link(1000, 5), Link())]
    with pytest.raises(links.UnshapableError, match=r"5\.15 .*netem \(F\); nfqueue"):
        links.choose_backend("auto", delays, [], probed)
    with pytest.raises(links.UnshapableError, match="link_backend netem"):
        links.choose_backend("netem", rates, [], probed)
    assert links.choose_backend("netem", [DeviceLink("a", "198.18.0.2", Link(), Link())], [], probed) == "netem"


def test_the_gate_opens_whole_and_shuts(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    assert gate.read() is None
    gate.open(12.5)
    assert gate.read() == 12.5
    gate.shut()
    gate.shut()
    assert gate.read() is None


def test_a_log_is_followed_by_whole_lines_into_new_folders(tmp_path: Path) -> None:
    tail = Tail(tmp_path)
    assert list(tail.lines()) == []
    (tmp_path / "course").mkdir()
    log = tmp_path / "course" / "exp_print.log"
    log.write_text("one\ntw")
    assert list(tail.lines()) == ["one"]
    with log.open("a") as file:
        file.write("o\n")
    assert list(tail.lines()) == ["two"]
    tail.look_again()
    (tmp_path / "course" / "sub_exp_1").mkdir()
    (tmp_path / "course" / "sub_exp_1" / "exp_print.log").write_text("again\n")
    assert list(tail.lines()) == ["again"]
    tail.close()
