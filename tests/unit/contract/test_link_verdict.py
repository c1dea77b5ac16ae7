"""What a measurement says about a link: within, out or undetermined."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsim_runner.agent.links.userspace.direction import Direction
from fedsim_runner.contract.gilbert_elliott import GilbertElliott
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.link_verdict import (
    OUT,
    UNDETERMINED,
    WITHIN,
    Estimate,
    Measured,
    bucket_bytes,
    judge,
    judge_loss,
    judge_losses,
    judge_value,
    tolerated_burst_bytes,
    tolerated_delay_us,
    tolerated_jitter_us,
    tolerated_rate_bps,
)
from fedsim_runner.contract.time_scale import TimeScale

BURSTS = GilbertElliott(0.01, 0.25)
LINK = Link(rate_bps=12_000_000, delay_us=35_000, jitter_us=4_000, loss=0.0)


def measured(**changes: object) -> Measured:
    exact: dict[str, object] = {
        "delay_us": Estimate(35_200, 400),
        "jitter_us": Estimate(4_100, 500),
        "rate_bps": Estimate(11_990_000, 50_000),
        "burst_bytes": 3_000.0,
        "sent": 500,
        "lost": 0,
    }
    return Measured(**{**exact, **changes})  # type: ignore[arg-type]


def test_a_link_as_requested_is_within() -> None:
    judgement = judge(LINK, measured())
    assert (judgement.verdict, judgement.out) == (WITHIN, [])


@pytest.mark.parametrize(
    ("change", "out"),
    [
        ({"delay_us": Estimate(37_000, 500)}, "delay"),
        ({"delay_us": Estimate(33_000, 500)}, "delay"),
        ({"jitter_us": Estimate(9_000, 900)}, "jitter"),
        ({"rate_bps": Estimate(12_600_000, 60_000)}, "rate"),
        ({"burst_bytes": 200_000.0}, "rate"),
        ({"lost": 1}, "loss"),
    ],
)
def test_each_property_can_be_out(change: dict[str, object], out: str) -> None:
    judgement = judge(LINK, measured(**change))
    assert (judgement.verdict, judgement.out) == (OUT, [out])


@pytest.mark.parametrize(
    "change",
    [
        {"delay_us": None},
        {"delay_us": Estimate(36_500, 5_000)},
        {"rate_bps": None},
        {"sent": 20},
    ],
)
def test_what_was_measured_badly_is_undetermined(change: dict[str, object]) -> None:
    assert judge(LINK, measured(**change)).verdict == UNDETERMINED


def test_a_link_without_a_rate_needs_none() -> None:
    judgement = judge(Link(delay_us=35_000, jitter_us=4_000), measured(rate_bps=None, burst_bytes=None))
    assert (judgement.rate, judgement.verdict) == (None, WITHIN)


def test_the_tolerances_are_the_documented_ones() -> None:
    assert [tolerated_delay_us(asked) for asked in (0, 35_000, 400_000)] == [1_000, 1_000, 8_000]
    assert [tolerated_jitter_us(asked) for asked in (0, 4_000, 40_000)] == [1_000, 1_000, 6_000]
    # In wall time: what slower devices do not notice is tolerated, and no lab host is better than its own timing.
    slow, fast = TimeScale(0.1), TimeScale(2.0)
    assert [tolerated_delay_us(asked, slow) for asked in (0, 350_000, 4_000_000)] == [10_000, 10_000, 80_000]
    assert [tolerated_jitter_us(asked, fast) for asked in (0, 2_000, 20_000)] == [1_000, 1_000, 3_000]
    late = Link(delay_us=350_000)
    found = measured(delay_us=Estimate(358_000, 100), jitter_us=Estimate(7_000, 100), rate_bps=None, burst_bytes=None)
    assert judge(late, found, scale=slow).verdict == WITHIN
    assert judge(late, found).out == ["delay", "jitter"]
    assert tolerated_rate_bps(12_000_000) == 240_000
    assert tolerated_burst_bytes(12_000_000) == 6_000 + 1_514 + 30_000
    assert bucket_bytes(256_000) == 1_600


@given(asked=st.floats(0, 1e9), tolerated=st.floats(1, 1e6), error=st.floats(-3, 3), margin=st.floats(0, 1e6))
def test_a_wider_interval_never_says_more(asked: float, tolerated: float, error: float, margin: float) -> None:
    value = asked + error * tolerated
    narrow, wide = (judge_value(asked, tolerated, Estimate(value, one)) for one in (margin, 2 * margin + 1))
    assert (narrow, wide) not in {(WITHIN, OUT), (UNDETERMINED, WITHIN), (UNDETERMINED, OUT)}


@given(sent=st.integers(100, 5_000), chance=st.floats(0.0001, 0.5), seed=st.integers(0, 1_000))
def test_losses_as_likely_as_asked_are_within(sent: int, chance: float, seed: int) -> None:
    draw = random.Random(seed)
    lost = sum(draw.random() < chance for _ in range(sent))
    spread = 4.5 * (sent * chance * (1 - chance)) ** 0.5 + 6
    verdict = judge_loss(chance, sent, lost)
    # One in a thousand is out by definition; none of them is far off, and none that is far off is within.
    assert verdict == WITHIN or abs(lost - sent * chance) > 2.5 * (sent * chance * (1 - chance)) ** 0.5
    assert judge_loss(chance, sent, min(sent, round(sent * chance + spread + 6 * spread**0.5))) == OUT


def test_losses_are_judged_by_their_interval() -> None:
    assert judge_loss(0.05, 1_000, 50) == judge_loss(0.05, 1_000, 30) == WITHIN
    assert judge_loss(0.05, 1_000, 20) == judge_loss(0.05, 1_000, 85) == OUT
    assert judge_loss(0.001, 300, 0) == WITHIN
    assert judge_loss(0.0, 10_000, 1) == OUT
    assert judge_loss(0.05, 1_000_000, 50_000) == WITHIN
    assert judge_loss(0.05, 1_000_000, 51_000) == OUT
    assert judge_loss(1.0, 200, 200) == WITHIN
    assert judge_loss(0.0, 30, 0) == UNDETERMINED


def test_losses_in_bursts_are_judged_by_how_much_their_number_varies() -> None:
    link = Link(loss=BURSTS.mean_loss, bursts=BURSTS)
    assert judge_losses(link, 5_000, 192) == WITHIN
    assert judge_losses(link, 5_000, 260) == WITHIN
    assert judge_loss(link.loss, 5_000, 260) == OUT, "so many would be too many if they were independent"
    assert judge_losses(link, 5_000, 500) == judge_losses(link, 5_000, 20) == OUT
    assert judge_losses(link, 200, 8) == UNDETERMINED


def test_losses_in_bursts_give_no_false_alarm() -> None:
    link = Link(loss=BURSTS.mean_loss, bursts=BURSTS)
    verdicts = []
    for seed in range(400):
        direction = Direction(link, str(seed))
        lost = sum(direction.departure_s(float(number), 100) is None for number in range(2_000))
        verdicts.append(judge_losses(link, 2_000, lost))
    assert verdicts.count(OUT) <= 2  # 0.4 in 400 are expected of a 99.9 % interval


@pytest.mark.parametrize(
    ("link", "lost", "verdict"),
    [
        (Link(corrupt=0.1), 1_000, WITHIN),
        (Link(corrupt=0.1), 0, WITHIN),
        (Link(corrupt=0.1), 1_200, OUT),
        (Link(loss=0.1, duplicate=0.5), 1_000, WITHIN),
        (Link(loss=0.1, duplicate=0.5), 350, WITHIN),
        (Link(loss=0.1, duplicate=0.5), 200, OUT),
        (Link(duplicate=0.5), 0, WITHIN),
        (Link(duplicate=0.5), 1, OUT),
    ],
)
def test_what_duplicates_and_corruption_make_of_losses_is_tolerated(link: Link, lost: int, verdict: str) -> None:
    assert judge_losses(link, 10_000, lost) == verdict
