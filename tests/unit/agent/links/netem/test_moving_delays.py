"""Jitter by netem: which delays a link is given, when, and in which form."""

from __future__ import annotations

import itertools
import socket
import struct
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fedsim_runner.agent.kernel import kernel_qdiscs, netlink, netns
from fedsim_runner.agent.links.netem import moving_delays
from fedsim_runner.agent.links.netem.moving_delays import MovingDelays, describe_movement, plan_movement
from fedsim_runner.agent.links.netem.qdisc import Netem, moved_options
from fedsim_runner.contract.jitter_distribution import DistributionName
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.time_scale import TimeScale

J2G = Link(256_000, 400_000, 40_000)
WIDE = Link(None, 500_000, 300_000)


class Kernel:
    """Takes delays, in microseconds, by interface."""

    def __init__(self) -> None:
        self.delays: dict[str, list[int]] = {}
        self.refuses = False

    def change(self, channel: socket.socket, interface: str, kind: str, options: bytes) -> None:
        assert kind == "netem"
        if self.refuses:
            raise OSError(2, "no such qdisc")
        self.delays.setdefault(interface, []).append(struct.unpack_from("=q", options, 28)[0] // 1000)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(kernel_qdiscs, "change_root_qdisc", made.change)
    monkeypatch.setattr(netlink, "open_channel", lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    monkeypatch.setattr(netns, "inside", lambda path: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    return made


def _walk(link: Link, steps: int, kernel: Kernel) -> list[tuple[float, int]]:
    """The delays of one line, each with the seconds for which it holds."""
    line = moving_delays._Line(netlink.open_channel(), "eth0", link, "seed")
    waits = [line.move(0.0) for _ in range(steps)]
    line.close()
    return list(zip(waits, kernel.delays["eth0"], strict=True))


def test_the_delays_have_the_distribution_asked_for(kernel: Kernel) -> None:
    walked = _walk(J2G, 6_000, kernel)
    assert min(delay for _, delay in walked) >= 360_000 and max(delay for _, delay in walked) <= 440_000
    total = sum(wait for wait, _ in walked)
    mean = sum(wait * delay for wait, delay in walked) / total
    deviation = (sum(wait * (delay - mean) ** 2 for wait, delay in walked) / total) ** 0.5
    assert mean == pytest.approx(400_000, abs=40_000 / 12)
    assert deviation == pytest.approx(40_000 / 3**0.5, rel=0.1)


def test_a_delay_falls_no_faster_than_half_as_fast_as_time_runs(kernel: Kernel) -> None:
    walked = _walk(WIDE, 500, kernel)
    falls = [(wait, a - b) for (wait, a), (_, b) in itertools.pairwise(walked) if b < a]
    assert max(fall for _, fall in falls) <= moving_delays.MOST_FALL_US
    assert min(wait for wait, _ in walked) == pytest.approx(2 * moving_delays.MOST_FALL_US / 1e6)


@pytest.mark.parametrize("distribution", ["uniform", "normal", "pareto"])
@pytest.mark.parametrize(("delay_us", "jitter_us"), [(60_000, 60_000), (20_000, 20_000), (400_000, 40_000)])
def test_what_falls_add_to_the_mean_is_what_is_said(
    delay_us: int, jitter_us: int, distribution: DistributionName, kernel: Kernel
) -> None:
    link = Link(None, delay_us, jitter_us, jitter_distribution=distribution)
    walked = _walk(link, 60_000, kernel)
    longer = sum(wait * delay for wait, delay in walked) / sum(wait for wait, _ in walked) - link.mean_delay_us
    most = max(moving_delays.LEAST_ERROR_US, moving_delays.LEAST_ERROR * delay_us)
    chance = 0.01 * jitter_us  # three standard errors of the mean of so many values
    said = list(describe_movement([link]))
    if said:
        shift = float(said[0].split("at most by ")[1].split(" ms")[0]) * 1e3
        assert shift > most
        assert longer == pytest.approx(shift, abs=chance + 0.05 * shift)
    else:
        assert abs(longer) <= most + chance


def test_only_distributions_that_are_not_symmetric_have_a_longer_mean() -> None:
    wide = Link(None, 60_000, 60_000)
    assert not list(describe_movement([wide]))
    (note,) = describe_movement([wide, replace(wide, jitter_distribution="pareto")])
    assert note.endswith(" ms (60±60 ms, pareto)")


def test_more_links_than_are_moved_in_time_are_named() -> None:
    (note,) = describe_movement([Link(None, 50_000, 1_000)] * 300 + [Link(None, 50_000)] * 900)
    assert note == "moves the delay of 300 links with jitter, each only every 0.3 s: in between it is constant"
    assert not list(describe_movement([Link(None, 50_000, 1_000)] * 100))


def test_what_is_said_of_a_dilated_run_is_in_device_time() -> None:
    (note,) = describe_movement([Link(None, 50_000, 1_000)] * 300, TimeScale(0.5))
    assert "each only every 0.15 s" in note
    (note,) = describe_movement([Link(None, 120_000, 120_000, jitter_distribution="pareto")], TimeScale(0.5))
    assert note.endswith("(60±60 ms, pareto)")


def test_a_link_without_jitter_is_left_alone(kernel: Kernel) -> None:
    assert plan_movement(Link(1_000_000, 20_000), Link(), "v1", "") is None
    assert str(plan_movement(J2G, Link(), "v1", "")) == "up 400000 us and up to 40000 us more or less"


def test_options_keep_all_but_the_delay() -> None:
    link = Link(1_000_000, 20_000, 5_000, 0.25)
    wanted = Netem.for_link(link)
    assert wanted is not None
    options = moved_options(link, 23_456)
    assert struct.unpack_from("=6I", options) == (0, wanted.limit, 0x40000000, 0, 0, 0)
    assert struct.unpack_from("=HHq", options, 24) == (12, 10, 23_456_000)
    seen = [kernel_qdiscs._settings_of_netem(moved_options(link, delay), True) for delay in (1, 23_456)]
    assert seen == [options[4:24]] * 2


@pytest.mark.lengthy
def test_a_device_is_moved_until_it_is_forgotten(kernel: Kernel, tmp_path: Path) -> None:
    delays = MovingDelays()
    movement = plan_movement(Link(None, 20_000, 1_000), Link(None, 30_000, 1_000), "v1", "1/a")
    assert movement is not None
    kernel.refuses = True
    delays.set("a", movement, str(tmp_path), str(tmp_path))
    assert delays.active("a", str(tmp_path), str(tmp_path)) == movement
    assert delays.active("a", "/nowhere", str(tmp_path)) is None, "another process has its name"
    assert delays.active("a", str(tmp_path), "/nowhere") is None, "the run's network is another one"
    time.sleep(0.15)
    kernel.refuses = False  # its qdisc has been put back
    deadline = time.monotonic() + 5
    while len(kernel.delays.get("v1", ())) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert delays.failure() is None
    delays.forget("a")
    assert delays.active("a", str(tmp_path), str(tmp_path)) is None
    count = len(kernel.delays["eth0"])
    time.sleep(0.25)
    assert len(kernel.delays["eth0"]) == count
    delays.stop()
    assert delays.failure() is None
