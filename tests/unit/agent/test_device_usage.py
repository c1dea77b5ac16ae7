"""Rates of devices, and what counts as evidence that a device is working."""

from __future__ import annotations

import pytest

from fedsim_runner.agent.host.device_usage import WINDOW_S, Reading, Usage


def reading(cpu: float, moved: int = 0, throttled: float = 0.0) -> Reading:
    return Reading(1000, cpu, throttled, 0, moved, 2 * moved)


def test_rates_cover_the_last_sample_and_end_with_the_device() -> None:
    usage = Usage(60)
    usage.add(10.0, {"a": reading(1.0, 100, 0.0)})
    assert usage.rates("a") is None
    usage.add(12.0, {"a": reading(1.5, 1100, 5.0)})
    rates = usage.rates("a")
    assert rates is not None
    assert (rates.cpu, rates.throttled) == (0.25, 1.0)
    assert (rates.up_bps, rates.down_bps) == (8000.0, 4000.0)
    usage.add(13.0, {})
    assert usage.rates("a") is None
    assert usage.reading("a") is None


def test_counters_of_another_container_give_no_negative_rates() -> None:
    usage = Usage(60)
    usage.add(10.0, {"a": reading(5.0)})
    usage.add(11.0, {"a": reading(0.1)})
    assert usage.rates("a") is None
    assert not usage.is_working("a", "training", 1.0, 11.0, waits_idle=True)


@pytest.mark.parametrize(
    ("state", "cpu_seconds", "moved", "working"),
    [
        ("training", 0.3, 0, True),
        ("joining", 0.3, 0, True),
        ("evaluating", 0.01, 0, False),  # threads that only poll
        ("aggregating", 0.3, 0, True),
        ("waiting", 5.0, 10**6, False),  # FederatedScope's busy wait
        ("receiving", 0.0, 1000, True),
        ("receiving", 5.0, 20, False),  # window probes
    ],
)
def test_evidence_that_a_device_is_working(state: str, cpu_seconds: float, moved: int, working: bool) -> None:
    usage = Usage(60)
    usage.add(0.0, {"a": reading(1.0)})
    usage.add(WINDOW_S, {"a": reading(1.0 + cpu_seconds, moved)})
    assert usage.is_working("a", state, 1.0, WINDOW_S, waits_idle=False) is working


@pytest.mark.parametrize("state", ["waiting", "receiving", "sending"])
@pytest.mark.parametrize(("cpus", "cores", "working"), [(None, 0.9, True), (4.0, 0.06, True), (None, 0.04, False),
                                                        (0.02, 0.005, False), (0.02, 0.02, True)])  # fmt: skip
def test_one_that_waits_idle_and_uses_the_processor_works_whatever_it_says(
    state: str, cpus: float | None, cores: float, working: bool
) -> None:
    usage = Usage(60)
    usage.add(0.0, {"a": reading(1.0)})
    usage.add(WINDOW_S, {"a": reading(1.0 + cores * WINDOW_S)})
    assert usage.is_working("a", state, cpus, WINDOW_S, waits_idle=True) is working


def test_with_a_twentieth_of_a_core_a_fifth_of_that_counts_as_working() -> None:
    usage = Usage(60)
    usage.add(0.0, {"a": reading(1.0)})
    usage.add(WINDOW_S, {"a": reading(1.0 + 0.05 * WINDOW_S)})
    assert usage.is_working("a", "training", 0.05, WINDOW_S, waits_idle=True)
    assert not usage.is_working("a", "training", 0.05, WINDOW_S + 1, waits_idle=True), "checked once in a window"
    assert not usage.is_working("b", "training", 0.05, WINDOW_S, waits_idle=True)


def test_a_short_silence_timeout_shortens_the_window() -> None:
    usage = Usage(4)
    usage.add(0.0, {"a": reading(1.0)})
    usage.add(1.0, {"a": reading(1.5)})
    assert usage.is_working("a", "training", 1.0, 1.0, waits_idle=True)
