"""A number of cores as a quota and a period that the runtime and the kernel accept."""

from __future__ import annotations

import pytest

from fedsim_runner.contract.cpu_limit import (
    LEAST_CPUS,
    LEAST_QUOTA_US,
    LONGEST_PERIOD_US,
    PERIOD_SPREAD,
    SHORTEST_PERIOD_US,
    CpuLimit,
    limit_to,
)

#: From the smallest that can be limited to a large server, in steps of about a tenth.
CPUS = [LEAST_CPUS * 1.1**step for step in range(145)]


@pytest.mark.parametrize(
    ("cpus", "quota_us", "period_us"),
    [
        (16, 320_000, 20_000),
        (0.5, 10_000, 20_000),
        (0.1, 2_000, 20_000),
        (0.05, 1_000, 20_000),
        (0.04, 1_000, 25_000),
        (0.01, 1_000, 100_000),
        (0.005, 1_000, 200_000),
        (0.001, 1_000, 1_000_000),
    ],
)
def test_quota_and_period(cpus: float, quota_us: int, period_us: int) -> None:
    assert limit_to(cpus) == CpuLimit(quota_us, period_us)


def test_each_limit_is_accepted_and_is_what_was_asked_for() -> None:
    for cpus in CPUS:
        limit = limit_to(cpus)
        assert limit.quota_us >= LEAST_QUOTA_US, cpus
        assert SHORTEST_PERIOD_US <= limit.period_us <= LONGEST_PERIOD_US, cpus
        assert limit.quota_us / limit.period_us == pytest.approx(cpus, rel=1e-3)


def test_devices_have_periods_of_their_own_and_the_same_cores() -> None:
    names = [f"client-{number}" for number in range(1, 41)]
    for cpus in CPUS:
        shortest, limits = limit_to(cpus), [limit_to(cpus, device=name) for name in names]
        for limit in limits:
            assert (
                shortest.period_us
                <= limit.period_us
                <= min((1 + PERIOD_SPREAD) * shortest.period_us + 1, LONGEST_PERIOD_US)
            )
            assert limit.quota_us >= LEAST_QUOTA_US
            assert limit.quota_us / limit.period_us == pytest.approx(cpus, rel=1e-3)
        assert len({limit.period_us for limit in limits}) > 30 or cpus < LEAST_CPUS * (1 + PERIOD_SPREAD)


@pytest.mark.parametrize("factor", [0.01, 0.25, 0.5, 3.0])
def test_in_a_dilated_run_a_device_has_the_quota_that_it_has_in_real_time(factor: float) -> None:
    for cpus in CPUS:
        if cpus * factor < LEAST_CPUS:
            continue
        real, dilated = limit_to(cpus), limit_to(cpus * factor, factor)
        assert dilated.quota_us >= LEAST_QUOTA_US
        assert dilated.quota_us / dilated.period_us == pytest.approx(cpus * factor, rel=2e-3)
        if dilated.period_us < LONGEST_PERIOD_US:
            assert dilated.quota_us == pytest.approx(real.quota_us, rel=2e-3), cpus
            assert dilated.period_us * factor == pytest.approx(real.period_us, rel=2e-3), cpus


def test_limits_below_a_hundredth_of_a_core_are_coarse() -> None:
    assert {cpus for cpus in CPUS if limit_to(cpus).coarse} == {cpus for cpus in CPUS if cpus < 0.01}
