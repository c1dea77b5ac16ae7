"""Links measured on a real kernel, in namespaces: packets get the requested rate, delay, jitter and loss.

The same tests run on this machine's kernel with the back end that it supports, and inside a user-mode Linux kernel
with netem (test_user_mode_kernel.py), where FEDSIM_LAB_BACKEND names the back end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.agent.kernel import netns
from fedsim_runner.agent.links.network.wiring import end_name
from fedsim_runner.agent.links.profile import DeviceLink
from fedsim_runner.agent.links.userspace import queue_rule, rule_set
from fedsim_runner.contract.link import Link
from tests.lab.rig import MBIT, PORT, SLACK_S, Rig, apply, rig, shaped


def test_delay_holds_in_each_direction(backend: str, probed: dict[str, Any]) -> None:
    with rig("a", "b") as lab:
        links = [
            DeviceLink("a", lab.addresses["a"], Link(delay_us=30_000), Link(delay_us=10_000)),
            DeviceLink("b", lab.addresses["b"], Link(delay_us=5_000), Link()),
        ]
        with shaped(lab, links, backend, probed) as shaper:
            apply(shaper, lab)
            # The quickest: on a busy machine any may be late, but none can be early.
            assert min(lab.one_way_s("a", "b")) == pytest.approx(0.030, abs=SLACK_S)
            assert min(lab.one_way_s("b", "a")) == pytest.approx(0.015, abs=SLACK_S)


def test_rate_holds_in_each_direction(backend: str, probed: dict[str, Any]) -> None:
    with rig("a", "b") as lab, shaped(lab, lab.links(Link(4 * MBIT), Link(8 * MBIT)), backend, probed) as shaper:
        apply(shaper, lab)
        for source, target, rate in (("a", "b", 4 * MBIT), ("b", "a", 8 * MBIT)):
            arrived = lab.burst(source, target, 1500, 1200, rate * 1.6)
            # After the bucket has drained: the second half.
            half = arrived[len(arrived) // 2 :]
            measured = (len(half) - 1) * (1200 + 42) * 8 / (half[-1][0] - half[0][0])
            assert measured == pytest.approx(rate, rel=0.08)
            assert len(arrived) < 1500, "what exceeds rate and queue is dropped"


def test_loss_is_per_packet(backend: str, probed: dict[str, Any]) -> None:
    with rig("a", "b") as lab, shaped(lab, lab.links(Link(loss=0.1)), backend, probed) as shaper:
        apply(shaper, lab)
        arrived = lab.burst("a", "b", 2000, 200, 8 * MBIT)
        assert len(arrived) == pytest.approx(1800, abs=70)  # 5 sigma
        assert len(lab.burst("b", "a", 500, 200, 8 * MBIT)) == 500


def test_jitter_spreads_and_keeps_order(backend: str, probed: dict[str, Any]) -> None:
    with rig("a", "b") as lab:
        link = Link(delay_us=30_000, jitter_us=20_000)
        with shaped(lab, lab.links(link), backend, probed) as shaper:
            apply(shaper, lab)
            times = lab.one_way_s("a", "b", count=60, gap_s=0.0)
            # The machine's other work may hold up one or two of the sixty.
            assert min(times) >= 0.009 and sorted(times)[-3] <= 0.050 + 3 * SLACK_S
            assert statistics.stdev(times) == pytest.approx(0.020 / 3**0.5, rel=0.4)
            arrived = lab.burst("a", "b", 300, 200, 1 * MBIT)
            numbers = [number for _, number in arrived]
            assert numbers == sorted(numbers) and len(numbers) == 300


def test_jitter_is_no_other_in_a_dense_flow(backend: str, probed: dict[str, Any]) -> None:
    """Drawn for each packet it would be: every packet would wait for the slowest of those before it."""
    link = Link(delay_us=60_000, jitter_us=20_000)
    with rig("a", "b") as lab, shaped(lab, lab.links(link), backend, probed) as shaper:
        apply(shaper, lab)
        delays = lab.dense_s("a", "b", 3000, 64, 500 * (64 + 42) * 8)
        assert len(delays) == 3000
        # 60 independent values or more: their mean differs from 60 ms by 1.5 ms.
        assert statistics.fmean(delays) == pytest.approx(0.060, abs=0.006)
        assert statistics.stdev(delays) == pytest.approx(0.020 / 3**0.5, rel=0.3)


def test_tcp_fills_a_delayed_link(backend: str, probed: dict[str, Any]) -> None:
    """A held packet must not count against its sender's socket."""
    with (
        rig("a", "b") as lab,
        shaped(lab, lab.links(Link(20 * MBIT, 25_000), Link(delay_us=25_000)), backend, probed) as shaper,
    ):
        apply(shaper, lab)
        lab.one_way_s("a", "b", count=1)  # resolve the neighbour first: netem delays that as well
        with netns.inside(lab.namespaces["b"]):
            listener = socket.create_server((lab.addresses["b"], PORT))
        took = []
        for _ in range(3):
            with netns.inside(lab.namespaces["a"]):
                started = time.monotonic()
                sender = socket.create_connection((lab.addresses["b"], PORT), timeout=5)
                took.append(time.monotonic() - started)
            receiver, _ = listener.accept()
            if len(took) < 3:
                sender.close()
                receiver.close()
        # As above: the quickest.
        assert min(took) == pytest.approx(0.050, abs=2 * SLACK_S)
        thread = threading.Thread(target=lambda: (sender.sendall(bytes(4_000_000)), sender.close()))
        started = time.monotonic()
        thread.start()
        while receiver.recv(1 << 16):
            pass
        rate = 4_000_000 * 8 / (time.monotonic() - started)
        thread.join()
        assert rate > 10 * MBIT
        receiver.close()
        listener.close()


def test_check_apply_reapply_restart_and_change(backend: str, probed: dict[str, Any]) -> None:
    with rig("a", "b") as lab, contextlib.ExitStack() as stack:
        link = Link(5 * MBIT, 20_000, 2_000, 0.01)
        shaper = stack.enter_context(shaped(lab, lab.links(link, link), backend, probed))
        checked = apply(shaper, lab, check=True)
        assert checked["a"]["changed"] and "up" in {entry["item"] for entry in checked["a"]["diff"]}
        assert apply(shaper, lab, check=True) == checked, "a check changes nothing"
        assert apply(shaper, lab) == checked
        assert not any(result["changed"] for result in apply(shaper, lab).values())
        # A restarted container has a new, unshaped interface.
        lab.remove("a")
        lab.add("a")
        again = apply(shaper, lab)
        assert again["a"]["changed"] and not again["b"]["changed"]
        shaper.stop()
        slower = stack.enter_context(shaped(lab, lab.links(Link(2 * MBIT, 20_000), link), backend, probed))
        changed = apply(slower, lab)
        assert changed["a"]["diff"][0]["item"] == "up"
        assert not any(result["changed"] for result in apply(slower, lab).values())
        slower.stop()
        bare = stack.enter_context(shaped(lab, lab.links(), backend, probed))
        assert apply(bare, lab)["a"]["changed"]
        assert not any(result["changed"] for result in apply(bare, lab).values())
        # The fastest: on a busy machine any packet may be late, but none can be early.
        assert min(lab.one_way_s("a", "b")) < 0.003


def test_a_missing_device_fails_under_its_name(backend: str, probed: dict[str, Any]) -> None:
    with rig("a", "b") as lab, shaped(lab, lab.links(Link(5 * MBIT)), backend, probed) as shaper:
        results = shaper.apply({**lab.namespaces, "a": "/proc/0/ns/net"})
        assert results["a"].failed is not None and results["b"].failed is None


def test_without_its_agent_a_device_gets_no_packets(backend: str, probed: dict[str, Any]) -> None:
    if backend == "netem":
        pytest.skip("netem's links live in the kernel and stay in force without the agent")
    with rig("a", "b") as lab, shaped(lab, lab.links(Link(delay_us=1000)), backend, probed) as shaper:
        apply(shaper, lab)
        assert len(lab.one_way_s("a", "b", count=3)) == 3
        shaper.stop()
        assert lab.one_way_s("a", "b", count=2) == []


def _flush_rules(lab: Rig) -> None:
    """Flush the rules of both variants of iptables."""
    with netns.inside(lab.namespaces["b"]):
        for program in queue_rule.iptables_programs():
            subprocess.run([program, "-t", "mangle", "-F"], check=True)


def _delete_uplink(lab: Rig) -> None:
    with netns.inside(lab.namespaces["b"]):
        subprocess.run(["tc", "qdisc", "del", "dev", "eth0", "root"], check=True)


def _delete_downlink(lab: Rig) -> None:
    with lab.network.inside():
        subprocess.run(["tc", "qdisc", "del", "dev", end_name(lab.addresses["b"]), "root"], check=True)


def _delete_policer(lab: Rig) -> None:
    with netns.inside(lab.namespaces["b"]):
        subprocess.run(["tc", "filter", "del", "dev", "eth0", "parent", "4:"], check=True)


def _set_bridge_down(lab: Rig) -> None:
    with lab.network.inside():
        subprocess.run(["ip", "link", "set", "br0", "down"], check=True)


def _delete_address(lab: Rig) -> None:
    with netns.inside(lab.namespaces["b"]):
        subprocess.run(["ip", "address", "flush", "dev", "eth0"], check=True)


@pytest.mark.parametrize(
    ("change", "concerned", "found"),
    [
        (_flush_rules, ["b"], "queue rule is absent, not present"),
        (_delete_uplink, ["b"], "up is none, not "),
        (_delete_policer, ["b"], "queue 0 bytes "),
        (_delete_downlink, ["b"], "down is none, not "),
        (_set_bridge_down, ["a", "b"], "port is none, not br0"),
        (_delete_address, ["b"], "interface is no address, "),
    ],
)
def test_what_somebody_else_changes_is_found_and_undone(
    change: Callable[[Rig], None], concerned: list[str], found: str, backend: str, probed: dict[str, Any]
) -> None:
    if change is _flush_rules and backend != "userspace":
        pytest.skip("netem sets no rules")
    if change is _delete_policer and backend == "userspace":
        pytest.skip("the packet process counts the queue's bytes")
    if change is _delete_downlink and backend == "userspace":
        pytest.skip("in user space the packet process holds downlinks")
    with rig("a", "b") as lab:
        links = [
            DeviceLink(name, address, Link(4 * MBIT, 20_000), Link(8 * MBIT)) for name, address in lab.addresses.items()
        ]
        with shaped(lab, links, backend, probed) as shaper:
            apply(shaper, lab)
            assert shaper.find_changes(lab.namespaces) == {}
            change(lab)
            changes = shaper.find_changes(lab.namespaces)
            assert sorted(changes) == concerned
            assert found in changes["b"]
            apply(shaper, lab)
            assert shaper.find_changes(lab.namespaces) == {}
            assert statistics.median(lab.one_way_s("a", "b", count=5)) >= 0.020


@pytest.mark.parametrize("program", queue_rule.iptables_programs())
def test_a_change_of_the_rules_leaves_a_trace(program: str, probed: dict[str, Any]) -> None:
    with netns.scratch():
        subprocess.run([program, *queue_rule.queue_rule_arguments(True)], check=True)
        before = rule_set.trace(program)
        assert before is not None and rule_set.trace(program) == before
        assert not rule_set.has_empty_chain() or program != queue_rule.IPTABLES_LEGACY
        subprocess.run([program, "-t", "mangle", "-F"], check=True)
        assert rule_set.trace(program) != before
        assert rule_set.has_empty_chain() or program != queue_rule.IPTABLES_LEGACY


def test_a_frozen_packet_process_is_told_from_a_busy_one(backend: str, probed: dict[str, Any]) -> None:
    if backend != "userspace":
        pytest.skip("netem needs no packet process")
    with rig("a", "b") as lab, shaped(lab, lab.links(Link(delay_us=20_000)), backend, probed) as shaper:
        apply(shaper, lab)
        assert shaper.failure() is None
        (pid,) = _children("fedsim_runner.agent.links.userspace")
        os.kill(pid, signal.SIGSTOP)
        try:
            assert shaper.failure() is None  # it may be a moment's
            deadline = time.monotonic() + 10
            while (failure := shaper.failure()) is None:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert failure.startswith("the agent's packet process is frozen: traffic no longer reaches")
        finally:
            os.kill(pid, signal.SIGCONT)
        assert shaper.failure() is None


def _children(module: str) -> list[int]:
    """Processes that this one has started to run the module."""
    tasks = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    pids = [int(pid) for children in tasks for pid in children.read_text().split()]
    return [pid for pid in pids if module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()]
