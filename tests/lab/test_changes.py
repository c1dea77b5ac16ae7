"""Links that change while packets pass, on a real kernel: in place, with nothing lost elsewhere, and never unshaped."""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from fedsim_runner.agent.kernel import netns, rtnetlink
from fedsim_runner.agent.links.deviation import Deviation
from fedsim_runner.agent.links.profile import DeviceLink, Profile
from fedsim_runner.agent.links.shaping.shaper import Shaper
from fedsim_runner.agent.timeline.priority import gain_priority
from fedsim_runner.contract.link import INTERFACE, Link, Links
from fedsim_runner.contract.queue_size import buffer_bytes
from tests.lab.rig import MBIT, PORT, Rig, apply, end, rig, shaped


def change(shaper: Shaper, lab: Rig, deviation: Deviation, planned: Profile) -> dict[str, str]:
    """Have links deviate; return what was then found, by device."""
    results = shaper.change(deviation.of(planned), lab.namespaces)
    assert all(result.failed is None for result in results.values()), results
    return {name: result.found for name, result in results.items()}


def changeable(shaper: Shaper, *later: Link) -> Profile:
    """Have the links of a shaper change later; return what was requested of it."""
    profile, chosen = shaper.requested
    planned = replace(profile, later=later)
    shaper.set_profile(planned, chosen)
    return planned


def may_part(shaper: Shaper, planned_for: bool) -> Profile:
    """Whether devices of a shaper may be apart later; return what was requested of it."""
    profile, chosen = shaper.requested
    planned = replace(profile, may_part=planned_for)
    shaper.set_profile(planned, chosen)
    return planned


def both(link: Link) -> Links:
    return Links(link, link)


def numbers_of_policers(namespace: str) -> list[int]:
    with netns.inside(namespace):
        shown = subprocess.run(
            ["tc", "actions", "list", "action", "police"], capture_output=True, text=True, check=True
        )
    return [int(number, 16) for number in re.findall(r"police (0x\w+) rate", shown.stdout)]


def number_of_interface(namespace: str) -> int:
    with netns.inside(namespace):
        found = rtnetlink.find_interface(INTERFACE)
    assert found is not None
    return found.index


def test_a_rate_changes_in_place_without_a_packet_lost_and_without_a_moment_unshaped(
    backend: str, probed: dict[str, Any]
) -> None:
    slow, fast = Link(2 * MBIT, 20_000), Link(8 * MBIT, 20_000)
    with rig("a", "b", "c", "d") as lab:
        links = [
            DeviceLink("a", lab.addresses["a"], slow, Link()),
            DeviceLink("b", lab.addresses["b"], Link(), Link()),
            DeviceLink("c", lab.addresses["c"], Link(10 * MBIT, 5_000), Link()),
            DeviceLink("d", lab.addresses["d"], Link(), Link()),
        ]
        with shaped(lab, links, backend, probed) as shaper:
            planned = changeable(shaper, slow, fast)
            apply(shaper, lab)
            for source, target in (("a", "b"), ("c", "d")):
                lab.one_way_s(source, target, count=1)  # a new port passes nothing for a moment
            found: dict[str, str] = {}
            elsewhere: list[tuple[float, int]] = []

            def others() -> None:
                elsewhere.extend(lab.burst("c", "d", 1200, 200, 0.8 * MBIT, steady=True))

            # When a rate began to be in force at the earliest, and was so at the latest.
            begun = time.monotonic()
            changed: list[tuple[float, float, Link]] = [(begun, begun, slow)]

            def changes() -> None:
                for link, pause in ((fast, 0.8), (slow, 0.8), (fast, 0.4), (slow, 0.1)):
                    time.sleep(pause)
                    before = time.monotonic()
                    found.update(change(shaper, lab, Deviation({"a": Links(link, Link())}), planned))
                    changed.append((before, time.monotonic(), link))

            threads = [threading.Thread(target=work) for work in (others, changes)]
            for thread in threads:
                thread.start()
            arrived = lab.burst("a", "b", 9000, 1200, 30 * MBIT)
            for thread in threads:
                thread.join()
            assert set(found) <= {"a", "b", "c", "d"} and str(2 * MBIT) in found["a"]
            assert [number for _, number in elsewhere] == list(range(1200)), "packets of another device are all there"
            numbers = [number for _, number in arrived]
            assert numbers == sorted(numbers), "in order"
            # Of the times, only those are certain at which the rates were changed: a busy machine makes and sees all
            # else later, and never earlier. Until then no more has arrived than the rates allow, where unshaped 30
            # Mbit/s would. netem's queue empties at the old rate when it falls.
            frame_bits, room = (1200 + 42) * 8, buffer_bytes(8 * MBIT) * 8
            for number in range(1, len(changed) + 1):
                last = changed[number][0] if number < len(changed) else arrived[-1][0]
                so_far = changed[:number]
                ends = [*(after for _, after, _ in so_far[1:]), last]
                at_most = sum(
                    (link.rate_bps or 0) * (end_s - before)
                    for (before, _, link), end_s in zip(so_far, ends, strict=True)
                )
                bits = sum(moment <= last for moment, _ in arrived) * frame_bits
                assert bits < 1.05 * at_most + room * sum(link == slow for _, _, link in so_far[1:]) + 10 * frame_bits
            assert shaper.find_changes(lab.namespaces) == {}, "what was asked for is not taken for somebody else's"
            assert not any(result["changed"] for result in apply(shaper, lab).values())
            if backend == "netem":
                assert numbers_of_policers(lab.namespaces["a"]) == [number_of_interface(lab.namespaces["a"])]


def test_delay_jitter_and_loss_change_in_place_and_come_back(backend: str, probed: dict[str, Any]) -> None:
    plain, far = Link(20 * MBIT, 10_000), Link(20 * MBIT, 40_000, 5_000)
    lossy = replace(plain, loss=1.0)
    with rig("a", "b") as lab, shaped(lab, lab.links(plain, plain), backend, probed) as shaper:
        planned = changeable(shaper, plain, far, lossy)
        apply(shaper, lab)
        assert min(lab.one_way_s("a", "b")) == pytest.approx(0.010, abs=0.004)
        change(shaper, lab, Deviation({"a": both(far)}), planned)
        times = lab.one_way_s("a", "b", count=30)
        assert 0.034 < min(times) < 0.046
        assert shaper.find_changes(lab.namespaces) == {}
        change(shaper, lab, Deviation({"a": both(lossy)}), planned)
        assert lab.one_way_s("a", "b", count=2) == lab.one_way_s("b", "a", count=2) == []
        found = change(shaper, lab, Deviation(), planned)
        assert str(20 * MBIT) in found["a"]
        assert min(lab.one_way_s("a", "b")) == pytest.approx(0.010, abs=0.004)
        assert min(lab.one_way_s("b", "a")) == pytest.approx(0.010, abs=0.004)
        assert not any(result["changed"] for result in apply(shaper, lab).values())


def test_a_link_may_get_its_first_rate_and_lose_it(backend: str, probed: dict[str, Any]) -> None:
    with rig("a", "b") as lab, shaped(lab, lab.links(), backend, probed) as shaper:
        planned = changeable(shaper, Link(4 * MBIT, 30_000))
        apply(shaper, lab)
        assert len(lab.burst("a", "b", 1000, 1200, 30 * MBIT)) == 1000
        for _ in range(2):
            change(shaper, lab, Deviation({"a": both(Link(4 * MBIT, 30_000))}), planned)
            for source, target in (("a", "b"), ("b", "a")):
                arrived = lab.burst(source, target, 1000, 1200, 8 * MBIT)[200:]
                assert steady_bps([moment for moment, _ in arrived], 1200) == pytest.approx(4 * MBIT, rel=0.1)
            change(shaper, lab, Deviation(), planned)
            assert len(lab.burst("a", "b", 1000, 1200, 30 * MBIT)) == 1000
            assert min(lab.one_way_s("a", "b")) < 0.005


def steady_bps(times: list[float], size: int) -> float:
    """The rate of packets that arrive at these times, whatever a busy machine did to some of them: medians."""
    half = len(times) // 2
    return (
        half * (size + 42) * 8 / statistics.median(later - one for one, later in zip(times, times[half:], strict=False))
    )


def reached(lab: Rig, expected: set[str]) -> set[str]:
    """Which devices' packets reach which others (``ab``: from a to b); a second look if that is not as expected."""
    found: set[str] = set()
    for _ in range(3):
        with contextlib.ExitStack() as stack:
            channels = {name: stack.enter_context(lab.udp(name)) for name in lab.holders}
            for name, channel in channels.items():
                for other in channels.keys() - {name}:
                    channel.sendto(name.encode(), (lab.addresses[other], PORT))
            time.sleep(0.5)
            found = set()
            for name, channel in channels.items():
                channel.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        found.add(channel.recv(64).decode() + name)
        if found == expected:
            break
    return found


def both_ways(*pairs: str) -> set[str]:
    return {*pairs, *(pair[::-1] for pair in pairs)}


@pytest.mark.parametrize("planned_for", [False, True])
def test_nothing_passes_an_offline_device_until_it_is_back(
    backend: str, probed: dict[str, Any], planned_for: bool
) -> None:
    link = Link(10 * MBIT, 5_000)
    with rig("a", "b", "c") as lab, shaped(lab, lab.links(link, link), backend, probed) as shaper:
        planned, everything = may_part(shaper, planned_for), both_ways("ab", "ac", "bc")
        apply(shaper, lab)
        assert reached(lab, everything) == everything
        found = change(shaper, lab, Deviation(offline=frozenset("a")), planned)["a"]
        assert found == ("reached by nobody" if planned_for and backend == "userspace" else "port none")
        assert reached(lab, both_ways("bc")) == both_ways("bc")
        assert shaper.find_changes(lab.namespaces) == {}
        # A container that is restarted meanwhile stays offline, with its link in force.
        lab.remove("a")
        lab.add("a")
        assert apply(shaper, lab)["a"]["changed"]
        assert reached(lab, both_ways("bc")) == both_ways("bc")
        change(shaper, lab, Deviation(), planned)
        assert reached(lab, everything) == everything
        assert not any(result["changed"] for result in apply(shaper, lab).values())


@pytest.mark.parametrize("planned_for", [False, True])
def test_partitions_separate_devices_until_they_heal(backend: str, probed: dict[str, Any], planned_for: bool) -> None:
    with rig("a", "b", "c", "d") as lab, shaped(lab, lab.links(Link(delay_us=1000)), backend, probed) as shaper:
        planned = may_part(shaper, planned_for)
        apply(shaper, lab)
        for partitions, pairs in (
            ({}, both_ways("ab", "ac", "ad", "bc", "bd", "cd")),
            ({3: frozenset("ab")}, both_ways("ab", "cd")),
            ({3: frozenset("ab"), 4: frozenset("bc")}, set()),
            ({4: frozenset("bc")}, both_ways("ad", "bc")),
            ({}, both_ways("ab", "ac", "ad", "bc", "bd", "cd")),
        ):
            change(shaper, lab, Deviation(partitions=partitions), planned)
            assert reached(lab, pairs) == pairs
            assert shaper.find_changes(lab.namespaces) == {}
        assert not any(result["changed"] for result in apply(shaper, lab).values())


def test_a_timed_change_is_in_force_in_time_beside_devices_that_compute(
    backend: str, probed: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """A thread as that of the timeline, which has real-time priority where it may, and busy processes beside it."""
    names = [f"d{number}" for number in range(10)]
    one, other = Link(8 * MBIT, 20_000), Link(2 * MBIT, 50_000)
    late_s: list[float] = []
    with rig(*names) as lab, contextlib.ExitStack() as stack:
        links = [DeviceLink(name, lab.addresses[name], one, one) for name in names]
        shaper = stack.enter_context(shaped(lab, links, backend, probed))
        planned = changeable(shaper, one, other)
        apply(shaper, lab)
        namespaces = lab.namespaces

        def follow() -> None:
            gain_priority()
            for number in range(20):
                due = time.monotonic() + 0.1
                time.sleep(0.1)
                now = Deviation({name: both(other) for name in names} if number % 2 == 0 else {})
                results = shaper.change(now.of(planned), namespaces)
                late_s.append(time.monotonic() - due)
                assert not any(result.failed for result in results.values()), results

        for _ in range(4 * (os.cpu_count() or 1)):
            stack.callback(end, subprocess.Popen([sys.executable, "-c", "while True: pass"]))
        thread = threading.Thread(target=follow)
        thread.start()
        thread.join()
    late_s.sort()
    assert len(late_s) == 20
    with capsys.disabled():
        print(f"\n10 links changed: {late_s[10] * 1e3:.1f} ms after they were due, at most {late_s[-1] * 1e3:.1f} ms")
    # What docs/events.md promises; most may be held up by the machine's other work, which is no lab host's.
    assert late_s[0] < 0.050
