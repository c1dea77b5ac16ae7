"""Distributions of jitter against what is known of them in closed form."""

from __future__ import annotations

import math
from statistics import NormalDist

import pytest

from fedsim_runner.contract.jitter_distribution import CUT, TABLE_SCALE, Distribution
from fedsim_runner.contract.link import Link

UNIFORM, NORMAL, PARETO = Distribution("uniform"), Distribution("normal"), Distribution("pareto")


def test_uniform_has_half_its_width_over_the_root_of_three() -> None:
    found = UNIFORM.moments()
    assert (found.mean, found.deviation) == (pytest.approx(0, abs=1e-9), pytest.approx(1 / math.sqrt(3), rel=1e-6))
    assert found.kurtosis == pytest.approx(1.8, rel=1e-6)
    assert (UNIFORM.least, UNIFORM.most) == (-1, 1)


def test_normal_has_the_jitter_as_its_deviation() -> None:
    found = NORMAL.moments()
    assert (found.mean, found.deviation) == (pytest.approx(0, abs=1e-9), pytest.approx(1, abs=1e-3))
    assert found.kurtosis == pytest.approx(3, abs=0.05)
    assert [NORMAL.quantile(share) for share in (0.0, 0.5, 1.0)] == [-CUT, 0, CUT]


def test_pareto_is_that_of_iproute2() -> None:
    """pareto.c: 4/3 of (X - 1.5), X of shape 3 and at least 1; 16 bits hold it up to X = 4.5."""
    most = 4.5
    mean = 1.5 - 1 / (2 * most**2)
    deviation = math.sqrt(3 - 2 / most - mean**2)
    found = PARETO.moments()
    assert found.mean == pytest.approx(4 / 3 * (mean - 1.5), abs=1e-3)
    assert found.deviation == pytest.approx(4 / 3 * deviation, rel=1e-3)
    assert (PARETO.least, PARETO.most) == (pytest.approx(-2 / 3), CUT)
    # Of the 4,096 numbers that the program prints: the first, one from the middle, one from the last line.
    found_numbers = [round(PARETO.quantile(number / 4096) * TABLE_SCALE) for number in (0, 2048, 4050)]
    assert found_numbers == pytest.approx([-5461, -2622, 32391], abs=1)


def test_a_table_has_the_values_that_it_lists() -> None:
    table = Distribution("table", (-4096, 0, 0, 8192))
    assert [table.quantile(share) for share in (0.0, 0.24, 0.25, 0.74, 0.75, 1.0)] == [-0.5, -0.5, 0, 0, 1, 1]
    assert table.moments().mean == 0.125
    assert table.moments().deviation == pytest.approx(math.sqrt((0.625**2 + 2 * 0.125**2 + 0.875**2) / 4))


def test_values_below_zero_delay_count_as_zero() -> None:
    """A normal distribution that is cut at its mean, whose lower half becomes the mean."""
    found = NORMAL.moments(floor=0.0)
    assert found.mean == pytest.approx(NormalDist().pdf(0), abs=1e-3)
    assert found.deviation == pytest.approx(math.sqrt(0.5 - NormalDist().pdf(0) ** 2), abs=1e-3)


def test_a_link_says_what_its_delay_is() -> None:
    assert Link(None, 20_000, 5_000).mean_delay_us == pytest.approx(20_000)
    assert Link(None, 20_000, 5_000).longest_delay_us == 25_000
    assert Link(None, 20_000, 5_000, jitter_distribution="normal").longest_delay_us == 40_000
    skewed = Link(None, 20_000, 5_000, jitter_distribution="pareto")
    assert skewed.mean_delay_us == pytest.approx(20_000 - 0.033 * 5_000, abs=2)
    assert (Link(None, 20_000).mean_delay_us, Link(None, 20_000).longest_delay_us) == (20_000, 20_000)
