"""The two timings before the gate, and the limit that follows from the first."""

from __future__ import annotations

import pytest

from fedsim_runner.contract.reference_windows import (
    CHANCE,
    LEAST,
    MOST,
    PAUSE_S,
    StepTime,
    common_correction,
    corrected_cpus,
    correction,
    first_until,
    whole_s,
)


@pytest.mark.parametrize("window_s", [2.5, 8.0])
def test_both_timings_are_as_long_and_a_pause_apart(window_s: float) -> None:
    open_at = 1_000.0 + whole_s(window_s)
    until = first_until(1_000.0, open_at)
    assert until == pytest.approx(1_000.0 + window_s)
    assert open_at - until - PAUSE_S == pytest.approx(window_s)


def test_who_comes_when_the_gate_is_about_to_open_or_open_has_no_time() -> None:
    assert first_until(1_000.0, 1_000.0 + PAUSE_S / 2) == 1_000.0
    assert first_until(1_000.0, 900.0) == 1_000.0


ASKED = StepTime(0.5, 0.1)


@pytest.mark.parametrize(
    ("share", "cpus"),
    [
        (1.1, 0.22),
        (0.95, 0.19),
        (1 + 0.9 * LEAST, 0.2),  # as good as asked for
        (5.0, round(0.2 * MOST, 5)),
        (0.01, round(0.2 / MOST, 5)),
    ],
)
def test_a_limit_changes_as_the_time_of_a_step(share: float, cpus: float) -> None:
    assert corrected_cpus(0.2, correction(ASKED, StepTime(0.5 * share, 0.1 * share))) == pytest.approx(cpus)


@pytest.mark.parametrize(
    ("seconds", "cpu_seconds", "cpus"),
    [
        (0.9, 0.1, 0.2),  # others had the processor
        (0.9, 0.105, 0.21),
        (0.45, 0.125, 0.2),  # a very small limit
        (0.45, 0.05, 0.18),
    ],
)
def test_the_time_that_is_nearer_to_what_it_should_be_counts(seconds: float, cpu_seconds: float, cpus: float) -> None:
    assert corrected_cpus(0.2, correction(ASKED, StepTime(seconds, cpu_seconds))) == pytest.approx(cpus)


def test_a_thread_gets_no_more_than_a_core() -> None:
    assert corrected_cpus(0.95, 1.2) == 1.0
    assert corrected_cpus(1.0, 1.2) == 1.0
    assert corrected_cpus(1.0, 0.9) == pytest.approx(0.9)


def test_the_median_of_what_devices_would_need_is_the_factor_for_all_but_for_chance() -> None:
    took = [StepTime(0.5 * share, 0.1 * share) for share in (1.06, 1.07, 0.7)]
    took.append(StepTime(0.55, 0.09))  # others had the processor
    took.append(StepTime(0.6, 0.12))
    assert common_correction((ASKED, one) for one in took) == pytest.approx(1.06 - CHANCE)
    assert common_correction((ASKED, one) for one in took[2:4]) == pytest.approx(0.85 + CHANCE)
    assert common_correction([(ASKED, StepTime(0.505, 0.101))]) == 1.0
