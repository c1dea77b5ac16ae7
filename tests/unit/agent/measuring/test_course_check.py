"""What links' counters say about a course."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest

from fedsim_runner.agent.links.profile import DeviceLink, Profile
from fedsim_runner.agent.links.run_links import RunLinks
from fedsim_runner.agent.links.tally import RateWatch, Tally
from fedsim_runner.agent.measuring.course_check import LOOK_S, CourseCheck, describe_count
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.link_verdict import OUT, UNDETERMINED, WITHIN
from fedsim_runner.contract.time_scale import TimeScale
from fedsim_runner.contract.topology import Edge, Topology

LINK = Link(8_000_000, 20_000, 0, 0.01)


class Links:
    """Counters of device `a`, which can be asked for while something passes."""

    def __init__(self) -> None:
        self.asked: list[bool] = []
        self.tallies: dict[tuple[str, str], Tally] = {}

    def count(self, running: Mapping[str, int], afresh: bool = False) -> dict[tuple[str, str], Tally]:
        self.asked.append(afresh)
        return self.tallies


@pytest.mark.parametrize(
    ("tally", "rate", "loss", "words"),
    [
        (Tally(10_000, 100, 0, 10**7, 0, RateWatch(7.9e6, 0)), WITHIN, WITHIN, None),
        (Tally(10_000, 100, 9_000, 10**7, 0, RateWatch(5e6, 0)), UNDETERMINED, WITHIN, None),
        (Tally(20, 0, 0, 10**4, 0, RateWatch(5e4, 0)), UNDETERMINED, UNDETERMINED, None),
        (
            Tally(10_000, 100, 0, 10**8, 0, RateWatch(16e6, 5e6)),
            OUT,
            WITHIN,
            "16 Mbit/s passed, not 8 Mbit/s (likely reason: kernel)",
        ),
        (
            Tally(10_000, 400, 0, 10**7, 0, RateWatch(5e6, 0)),
            UNDETERMINED,
            OUT,
            "400 of 10000 packets lost, not 1.00% (likely reason: kernel)",
        ),
        (
            Tally(10_000, 100, 0, 10**7, 300, RateWatch(5e6, 0)),
            UNDETERMINED,
            OUT,
            "400 of 10300 packets lost, not 1.00% (likely reason: load: the lab host did not take 300 in time)",
        ),
    ],
    ids=["true", "full queue", "few", "too fast", "too much loss", "overrun"],
)
def test_rate_and_loss_are_judged(tally: Tally, rate: str, loss: str, words: str | None) -> None:
    found = describe_count("a", "up", LINK, tally, 0.0, 2)
    assert (found.rate_verdict, found.loss_verdict, found.reason) == (rate, loss, words)
    assert (found.overflowed, found.bytes) == (tally.overflowed, tally.bytes)


def test_a_late_lab_host_lets_more_pass_at_once_without_blame() -> None:
    tally = Tally(10_000, 100, 0, 10**8, 0, RateWatch(16e6, 1e6))
    assert describe_count("a", "up", LINK, tally, 0.0, 1).rate_verdict == OUT
    assert describe_count("a", "up", LINK, tally, 1.0, 1).rate_verdict == WITHIN


def test_the_reason_of_a_dilated_run_has_the_devices_rates() -> None:
    tally = Tally(10_000, 100, 0, 10**8, 0, RateWatch(16e6, 1e6))
    found = describe_count("a", "up", LINK, tally, 0.0, 1, scale=TimeScale(0.5))
    assert found.reason == "32 Mbit/s passed, not 16 Mbit/s in device time (likely reason: kernel)"
    assert (found.rate_bps, found.rate_asked_bps) == (16_000_000, LINK.rate_bps), "the rest is wall time"


def test_many_links_together_are_judged_as_rarely_wrong_as_one() -> None:
    tally = Tally(10_000, 137, 0, 10**7, 0, RateWatch())
    assert describe_count("a", "up", LINK, tally, 0.0, 1).loss_verdict == OUT
    assert describe_count("a", "up", LINK, tally, 0.0, 200).loss_verdict == WITHIN


def test_counts_begin_at_the_gate_and_last_when_nothing_passes_any_longer() -> None:
    links = Links()
    check = CourseCheck(cast(RunLinks, links))
    check.begin({"a": 1})
    assert links.asked == [True]
    links.tallies = {("a", "up"): Tally(100, 0, 0, 1_000)}
    for now in (10.0, 10.1, 10.0 + LOOK_S):
        check.tick(now, {"a": 1})
    assert links.asked == [True, False, False]
    links.tallies = {}
    profile = Profile([DeviceLink("a", "198.18.0.1", LINK, LINK)])
    (event,) = check.events(profile, {}, 0.0)
    assert (event.device, event.direction, event.packets, event.bytes) == ("a", "up", 100, 1_000)


def test_edges_are_counted_like_links() -> None:
    links = Links()
    links.tallies = {("a", "up"): Tally(), ("eu - us", "down"): Tally(1_000, 300, 0, 10**6)}
    topology = Topology({"a": "eu"}, (Edge("eu", "us", Link(), LINK),))
    profile = Profile([DeviceLink("a", "198.18.0.1", LINK, LINK)], topology=topology)
    found = CourseCheck(cast(RunLinks, links)).events(profile, {}, 0.0)
    assert [(event.device, event.direction, event.loss_verdict) for event in found] == [
        ("a", "up", UNDETERMINED),
        ("eu - us", "down", OUT),
    ]


def test_an_uplink_held_by_the_receivers_lab_host_is_told_by_that() -> None:
    links = Links()
    check = CourseCheck(cast(RunLinks, links))
    links.tallies = {("a", "up"): Tally(0), ("far", "up"): Tally(50, 0, 0, 500), ("farther", "up"): Tally(0)}
    here, *there = (
        DeviceLink(name, f"198.18.0.{number}", LINK, LINK) for number, name in enumerate(("a", "far", "farther"), 1)
    )
    found = check.events(Profile([here], there), {}, 0.0)
    assert [(event.device, event.packets) for event in found] == [("a", 0), ("far", 50)]
