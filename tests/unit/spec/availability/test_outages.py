"""From windows, traces and rules to the times at which a device is offline."""

from __future__ import annotations

import statistics
from itertools import pairwise

import pytest

from fedsim_runner.spec.availability.outages import Outage, at_random, between_windows, of_trace

TIMEOUT_S = 300.0


@pytest.mark.parametrize(
    ("windows", "outages"),
    [
        ([[0, 300]], []),
        ([[0, 1000]], []),
        ([[0, 60]], [(60, None)]),
        ([[30, 60], [120, 300]], [(0, 30), (60, 120)]),
        ([[0, 60], [60, 90]], [(90, None)]),
        ([[0, 60], [290, 400]], [(60, 290)]),
    ],
)
def test_between_windows(windows: list[list[float]], outages: list[Outage]) -> None:
    assert between_windows(windows, TIMEOUT_S) == outages


@pytest.mark.parametrize(
    ("times", "online", "loop", "outages"),
    [
        ([0, 10, 20], [True, False, True], False, [(10, 20)]),
        ([0, 10, 20], [True, True, False], False, [(20, None)]),
        ([0], [False], True, [(0, None)]),
        ([0], [True], True, []),
        ([0, 0.001], [True, True], True, []),
        ([0, 0.001], [False, False], True, [(0, None)]),
        # The last row lasts as long as the one before it, and the next pass goes on from there.
        ([0, 100], [True, False], True, [(100, 200)]),
        ([0, 50], [False, True], True, [(0, 50), (100, 150), (200, 250)]),
        ([0, 40, 80], [False, True, False], True, [(0, 40), (80, 160), (200, 280)]),
    ],
)
def test_a_trace(times: list[float], online: list[bool], loop: bool, outages: list[Outage]) -> None:
    assert of_trace(times, online, loop, TIMEOUT_S) == outages


def test_random_times_have_the_means_that_were_asked_for() -> None:
    devices = [at_random(30, 10, f"7/available/phone-{number}", 1000) for number in range(400)]
    offline = [(last or 1000) - first for outages in devices for first, last in outages]
    online = [later[0] - earlier[1] for one in devices for earlier, later in pairwise(one) if earlier[1]]
    at_start = sum(bool(one) and one[0][0] == 0 for one in devices)
    # Each bound is four standard errors of what 400 devices for 1000 s show: about 10,000 times, exponential.
    assert statistics.mean(offline) == pytest.approx(10, rel=0.05)
    assert statistics.mean(online) == pytest.approx(30, rel=0.05)
    assert statistics.stdev(offline) == pytest.approx(10, rel=0.1)
    assert at_start / 400 == pytest.approx(0.25, abs=0.09)


def test_random_times_follow_from_seed_and_name() -> None:
    first = at_random(30, 10, "7/available/phone-1", 1000)
    assert first == at_random(30, 10, "7/available/phone-1", 1000)
    assert first != at_random(30, 10, "7/available/phone-2", 1000)
    assert at_random(30, 10, "7/available/phone-1", 200) == [
        (begins, ends if ends is not None and ends < 200 else None) for begins, ends in first if begins < 200
    ], "a longer course goes on from a shorter one"
