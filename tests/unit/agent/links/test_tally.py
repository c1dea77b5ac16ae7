"""What has passed a link is compared with its rate over any length of time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fedsim_runner.agent.kernel import kernel_qdiscs
from fedsim_runner.agent.kernel.kernel_qdiscs import ROOT, QdiscCounters
from fedsim_runner.agent.links.netem.kernel_counts import Direction, KernelCounts
from fedsim_runner.agent.links.netem.qdisc import QUEUE_PARENT
from fedsim_runner.agent.links.network.run_namespace import RunNamespace
from fedsim_runner.agent.links.tally import Passed, RateWatch, Tally
from fedsim_runner.agent.links.userspace import overruns
from fedsim_runner.contract.link import Link

from . import fake_kernel
from .fake_kernel import FakeKernel

RATE = 8_000_000  # a byte each microsecond
BELOW = 0x10001


def watch(rates: list[float], every_s: float = 0.5, asked: int | None = RATE) -> RateWatch:
    """A watch that has seen these rates, one after the other."""
    seen, now, count = RateWatch(), 100.0, 0
    seen.look(now, count, asked)
    for rate in rates:
        now += every_s
        count += round(rate / 8 * every_s)
        seen.look(now, count, asked)
    return seen


def test_a_link_at_its_rate_is_never_ahead() -> None:
    seen = watch([RATE] * 100)
    assert seen.ahead_bytes == 0 and seen.busiest_bps == pytest.approx(RATE)


def test_a_little_faster_for_long_is_ahead() -> None:
    assert watch([1.1 * RATE] * 40).ahead_bytes == pytest.approx(0.08 * RATE / 8 * 20)
    # Idle in between: nothing is saved up.
    assert watch([0, 1.5 * RATE, 0, 1.5 * RATE] * 50).ahead_bytes == pytest.approx(0.48 * RATE / 8 * 0.5)


def test_what_makes_up_for_a_pause_is_ahead_by_the_pause_alone() -> None:
    assert watch([RATE, 0, 2 * RATE, RATE] * 20).ahead_bytes <= 0.5 * RATE / 8


def test_without_a_rate_only_the_busiest_second_is_known() -> None:
    seen = watch([RATE, 3 * RATE, 3 * RATE, 0], asked=None)
    assert seen.ahead_bytes == 0 and seen.busiest_bps == pytest.approx(2 * RATE)


def test_a_counter_that_begins_again_is_no_rate() -> None:
    seen = RateWatch()
    for now, count in enumerate((0, 10**9, 5, 10)):
        seen.look(float(now), count, None)
    assert seen.busiest_bps == 8e9
    assert watch([RATE] * 4).busiest_bps == pytest.approx(RATE)


def test_a_tally_survives_as_data() -> None:
    tally = Tally(10, 1, 2, 700, 3, RateWatch(1e6, 40.0))
    assert Tally.parse(tally.as_dict()).as_dict() == tally.as_dict()
    tally.start_again(1.0)
    assert set(tally.as_dict().values()) == {0}


NOTHING = QdiscCounters(0, 0, 0, 0)


@pytest.fixture
def direction() -> Direction:
    return Direction("a", "up", Link(RATE, 1_000, 0, 0.1), None)


def test_the_kernels_counters_tell_loss_from_a_full_queue(direction: Direction) -> None:
    counts = KernelCounts()
    counts.add(
        direction, {ROOT: QdiscCounters(5_000, 5, 2, 0), BELOW: QdiscCounters(5_000, 5, 1, 0), QUEUE_PARENT: NOTHING}
    ).start_again(1.0)
    # Each also counts what those below it drop.
    tally = counts.add(
        direction,
        {
            ROOT: QdiscCounters(95_000, 95, 25, 0),
            BELOW: QdiscCounters(95_000, 95, 14, 0),
            QUEUE_PARENT: QdiscCounters(9, 9, 3, 0),
        },
    )
    assert (tally.packets, tally.lost, tally.overflowed, tally.bytes) == (113, 10, 13, 90_000)
    # Of an edge, each partition has one of its own.
    other = counts.add(replace(direction, end="other"), {ROOT: QdiscCounters(1_000, 1, 0, 0)})
    assert other is tally and (tally.packets, tally.bytes) == (114, 91_000)
    # A restarted container has a new interface, whose counters begin at 0.
    counts.add(direction, {ROOT: QdiscCounters(1_000, 1, 1, 0)})
    assert (tally.packets, tally.lost, tally.overflowed, tally.bytes) == (116, 11, 13, 92_000)


def test_the_kernels_counters_are_read_where_each_end_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, direction: Direction
) -> None:
    """Over a channel that is kept, and again if its interface has gone."""
    kernel = FakeKernel().install(monkeypatch)
    for name in ("a", "run"):
        (tmp_path / name).touch()
    network, namespaces = RunNamespace(str(tmp_path / "run")), {"a": str(tmp_path / "a")}
    down = replace(direction, way="down", end="end")
    kernel.links |= {("a", "eth0"): fake_kernel.Link(2), ("run", "end"): fake_kernel.Link(7)}
    qdiscs = {
        "a": {2: {ROOT: QdiscCounters(100, 2, 1, 900), QUEUE_PARENT: QdiscCounters(100, 2, 1, 300)}},
        "run": {7: {ROOT: QdiscCounters(500, 5, 0, 0)}},
    }
    monkeypatch.setattr(kernel_qdiscs, "qdisc_counters", lambda channel=None: qdiscs[kernel.namespace_of(channel)])
    now = iter(range(100))
    counts = KernelCounts(clock=lambda: float(next(now)))
    found = counts.look([direction, down], namespaces, network)
    # What the root delays does not wait for the rate.
    assert found == {("a", "up"): Passed(100, 3, 0, 1, 300), ("a", "down"): Passed(500, 5, 0, 0, 0)}
    assert counts.read([direction, down], namespaces, network, afresh=True)["a", "down"].packets == 0
    qdiscs["run"] = {7: {ROOT: QdiscCounters(90_500, 95, 0, 0)}}
    # Rates are looked at more rarely than counters.
    counts.look([direction, down], namespaces, network)
    assert counts.read([direction, down], namespaces, network, afresh=False)["a", "down"].rate.busiest_bps == 180_000
    qdiscs["a"] = {3: {ROOT: QdiscCounters(50, 1, 0, 0)}}
    kernel.links["a", "eth0"] = fake_kernel.Link(3)
    assert set(counts.look([direction, down], namespaces, network)) == {("a", "down")}
    assert counts.look([direction, down], namespaces, network)["a", "up"] == Passed(50, 1, 0, 0, 0)
    counts.stop()


def test_packets_that_the_process_did_not_take_are_counted() -> None:
    table = "    0   4711     3 1   128     5     7  4711  1\n    9   4711     3 1   128    50    70  4711  1\n"
    assert overruns.parse(table) == 12
    assert overruns.parse("") == 0
