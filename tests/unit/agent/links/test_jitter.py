"""Jitter is a process in time: whatever the traffic, its distribution is the one asked for, and nothing overtakes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsim_runner.agent.links.jitter import Delay, Jitter
from fedsim_runner.contract.jitter_distribution import Distribution

J = 0.04
SPACING = Distribution("uniform").spacing
#: Two values that are as likely, in iproute2's form: the delay jumps between them.
TWO = tuple([-8192] * 50 + [8192] * 50)
#: Of a uniform distribution over -J to J.
DEVIATION = J / math.sqrt(3)


def offsets(gap_j: float, values: int, seed: str = "a") -> list[float]:
    """The offsets that packets so many J apart meet, over so many independent values."""
    jitter = Jitter(J, seed)
    return [jitter.offset_s(50.0 + number * gap_j * J) for number in range(round(values * SPACING / gap_j))]


def distance(found: Sequence[float]) -> float:
    """The largest difference from the distribution function of the uniform distribution over -J to J."""
    ordered = sorted(found)
    return max(abs((x / J + 1) / 2 - (rank + 0.5) / len(ordered)) for rank, x in enumerate(ordered))


@pytest.mark.parametrize("gap_j", [0.05, 0.5, 7.3], ids=["dense", "between", "sparse"])
def test_sparse_and_dense_traffic_meet_the_same_distribution(gap_j: float) -> None:
    found = offsets(gap_j, 2000)
    assert statistics.fmean(found) == pytest.approx(0.0, abs=0.05 * J)
    assert statistics.pstdev(found) == pytest.approx(DEVIATION, rel=0.04)
    assert distance(found) < 0.04
    assert max(map(abs, found)) <= J


def test_the_deviation_is_the_same_at_every_moment_between_two_values() -> None:
    """Plain interpolation keeps 0.7 of the normal deviation half way."""
    jitter = Jitter(J, "moments")
    for u in (0.0, 0.25, 0.5, 0.75):
        found = [jitter.offset_s((number + u) * SPACING * J) for number in range(2000)]
        assert statistics.pstdev(found) == pytest.approx(DEVIATION, rel=0.04), u


@pytest.mark.parametrize(
    ("distribution", "mean"),
    [(Distribution("normal"), 0.04), (Distribution("pareto"), 0.05), (Distribution("table", TWO), 0.1)],
    ids=["normal", "pareto", "table"],
)
@pytest.mark.parametrize("gap_j", [0.3, 21.3], ids=["dense", "sparse"])
def test_another_distribution_can_be_asked_for(distribution: Distribution, mean: float, gap_j: float) -> None:
    """What leaves has it, too: that a delay falls no faster than time runs changes little."""
    asked = distribution.moments()
    delay = Delay(0.4, J, "another", distribution)
    times = [50.0 + number * gap_j * J for number in range(round(3000 * max(1.0, distribution.spacing / gap_j)))]
    found = [(delay.departure_s(at) - at - 0.4) / J for at in times]
    # 3,000 independent values: a mean's own deviation is 0.02 J.
    assert statistics.fmean(found) == pytest.approx(asked.mean, abs=mean)
    assert statistics.pstdev(found) == pytest.approx(asked.deviation, rel=0.06)
    assert distribution.least - 1e-9 <= min(found) and max(found) <= distribution.most + 1e-9


def test_no_delay_is_below_zero() -> None:
    normal = Distribution("normal")
    delay = Delay(J, J, "floor", normal)
    times = [50.0 + number * 0.3 * J for number in range(60_000)]
    found = [delay.departure_s(at) - at for at in times]
    assert min(found) >= 0.0
    asked = normal.moments(floor=-1.0)
    assert statistics.fmean(found) / J - 1.0 == pytest.approx(asked.mean, abs=0.05)
    assert statistics.pstdev(found) / J == pytest.approx(asked.deviation, rel=0.05)


def test_what_leaves_has_the_distribution_too() -> None:
    """Keeping the order costs next to nothing, so dense traffic is not slower than asked for."""
    delay = Delay(0.4, J, "order")
    times = [50.0 + number * 0.05 * J for number in range(60_000)]
    found = [delay.departure_s(at) - at - 0.4 for at in times]
    assert statistics.fmean(found) == pytest.approx(0.0, abs=0.05 * J)
    assert statistics.pstdev(found) == pytest.approx(DEVIATION, rel=0.04)


@given(
    seed=st.text(max_size=8),
    delay_us=st.integers(0, 500_000),
    share=st.floats(0.01, 1.0),
    gaps=st.lists(st.floats(0.0, 0.3), min_size=2, max_size=60),
)
def test_no_packet_overtakes_another_nor_leaves_before_it_came(
    seed: str, delay_us: int, share: float, gaps: list[float]
) -> None:
    delay = Delay(delay_us / 1e6, share * delay_us / 1e6, seed)
    at, left = 1000.0, []
    for gap in gaps:
        at += gap
        left.append(delay.departure_s(at))
        assert left[-1] >= at - 1e-9
    assert all(before <= after for before, after in pairwise(left))


def test_the_same_seed_and_time_give_the_same_delay_and_another_seed_another() -> None:
    times = [3.0, 3.01, 77.5, 3.0, 3.01]
    first, again, other = ([Jitter(J, seed).offset_s(at) for at in times] for seed in ("a", "a", "b"))
    assert first == again and first[:2] == first[3:]
    assert all(x != y for x, y in zip(first, other, strict=True))
