"""The two timings before the gate, and the limit that follows from the first."""

from __future__ import annotations

import pytest

from fedsim_runner.contract.reference_windows import LEAST, MOST, PAUSE_S, corrected_cpus, first_until, whole_s


@pytest.mark.parametrize("window_s", [2.5, 8.0])
def test_both_timings_are_as_long_and_a_pause_apart(window_s: float) -> None:
    open_at = 1_000.0 + whole_s(window_s)
    until = first_until(1_000.0, open_at)
    assert until == pytest.approx(1_000.0 + window_s)
    assert open_at - until - PAUSE_S == pytest.approx(window_s)


def test_who_comes_when_the_gate_is_about_to_open_or_open_has_no_time() -> None:
    assert first_until(1_000.0, 1_000.0 + PAUSE_S / 2) == 1_000.0
    assert first_until(1_000.0, 900.0) == 1_000.0


@pytest.mark.parametrize(
    ("cpu_s", "cpus"),
    [
        (0.11, 0.22),
        (0.095, 0.19),
        (0.1 * (1 + 0.9 * LEAST), 0.2),  # as good as asked for
        (0.5, round(0.2 * MOST, 5)),
        (0.001, round(0.2 / MOST, 5)),
    ],
)
def test_a_limit_changes_as_the_processor_time_of_a_step(cpu_s: float, cpus: float) -> None:
    assert corrected_cpus(0.2, 0.1, cpu_s) == pytest.approx(cpus)


def test_a_thread_gets_no_more_than_a_core() -> None:
    assert corrected_cpus(0.95, 0.1, 0.12) == 1.0
    assert corrected_cpus(1.0, 0.1, 0.12) == 1.0
    assert corrected_cpus(1.0, 0.1, 0.09) == pytest.approx(0.9)
