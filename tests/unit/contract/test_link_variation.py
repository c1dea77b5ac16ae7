"""What a link that varies is at each time."""

from __future__ import annotations

import itertools

import pytest

from fedsim_runner.contract.gilbert_elliott import GilbertElliott
from fedsim_runner.contract.link import Link, Links
from fedsim_runner.contract.link_variation import (
    NEVER,
    LinkState,
    Track,
    Variation,
    course_of,
    links_of,
    random_offset_ms,
    walk,
)

TRACK = Track(at_ms=(0, 1000, 3000), length_ms=4000, rate_bps=(10_000, 20_000, 30_000))
PLANNED = Links(Link(5_000, 40_000, 4_000, 0.1), Link(6_000))
STATES = tuple(
    LinkState(name, Links(Link(rate), Link(rate)), dwell_s)
    for name, rate, dwell_s in (("good", 3_000, 60.0), ("medium", 2_000, 20.0), ("bad", 1_000, 10.0))
)


def rates(variation: Variation, *times: float) -> list[tuple[int | None, float]]:
    course = course_of(variation, {"t": TRACK}, 1, "pi")
    return [(links.up.rate_bps, next_s) for links, next_s in map(course.at, times)]


def test_a_trace_is_followed_step_by_step_and_begins_again() -> None:
    found = rates(Variation(planned=PLANNED, up="t"), 0.0, 0.5, 1.0, 2.75, 3.5, 4.0, 9.0)
    assert found == [(10_000, 1), (10_000, 1), (20_000, 3), (20_000, 3), (30_000, 4), (10_000, 5), (20_000, 11)]


def test_without_a_loop_the_last_step_holds_for_good() -> None:
    found = rates(Variation(planned=PLANNED, up="t", loop=False), 0.0, 3.0, 1e6)
    assert found == [(10_000, 1), (30_000, NEVER), (30_000, NEVER)]


def test_an_offset_is_where_the_trace_begins() -> None:
    found = rates(Variation(planned=PLANNED, up="t", offset_ms=2500), 0.0, 0.5, 1.5)
    assert found == [(20_000, 0.5), (30_000, 1.5), (10_000, 2.5)]
    assert rates(Variation(planned=PLANNED, up="t", loop=False, offset_ms=9000), 0.0) == [(30_000, NEVER)]


def test_a_single_step_never_changes() -> None:
    track = Track(at_ms=(0,), length_ms=1, rate_bps=(1_000,))
    course = course_of(Variation(planned=PLANNED, down="t"), {"t": track}, 1, "pi")
    assert course.at(0.0) == (Links(PLANNED.up, Link(1_000)), NEVER)


def test_what_a_track_does_not_have_stays_as_planned_and_jitter_is_at_most_the_delay() -> None:
    track = Track(at_ms=(0,), length_ms=1, delay_us=(3_000,))
    assert track.link(0, PLANNED.up) == Link(5_000, 3_000, 3_000, 0.1)


def test_directions_have_tracks_of_their_own() -> None:
    other = Track(at_ms=(0, 700), length_ms=1400, loss=(0.0, 1.0))
    course = course_of(Variation(planned=PLANNED, up="t", down="o"), {"t": TRACK, "o": other}, 1, "pi")
    links, next_s = course.at(0.8)
    assert (links.up.rate_bps, links.up.loss, links.down.loss) == (10_000, 0.1, 1.0)
    assert next_s == pytest.approx(1.0)


def test_random_offsets_are_of_the_seed_and_the_device_and_spread_over_the_trace() -> None:
    found = [random_offset_ms(60_000, 7, f"pi-{number}") for number in range(400)]
    assert found == [random_offset_ms(60_000, 7, f"pi-{number}") for number in range(400)]
    assert found != [random_offset_ms(60_000, 8, f"pi-{number}") for number in range(400)]
    assert 0 <= min(found) < 1_000 and 59_000 < max(found) < 60_000
    assert abs(sum(found) / len(found) - 30_000) < 3.3 * 60_000 / 12**0.5 / 20


def test_states_are_the_same_for_the_same_seed_and_device() -> None:
    def begin(seed: int, device: str) -> list[tuple[float, str]]:
        return [(at_s, state.name) for at_s, state in itertools.islice(walk(STATES, seed, device), 50)]

    assert begin(1, "pi") == begin(1, "pi")
    assert begin(1, "pi") != begin(2, "pi") != begin(1, "po")


def test_stays_in_states_are_exponential_and_shares_of_time_are_those_of_the_means() -> None:
    stays: dict[str, list[float]] = {state.name: [] for state in STATES}
    firsts: list[str] = []
    for number in range(60):
        steps = list(itertools.islice(walk(STATES, 3, f"pi-{number}"), 101))
        firsts.append(steps[0][1].name)
        for (begun, state), (ended, following) in itertools.pairwise(steps):
            assert state is not following
            stays[state.name].append(ended - begun)
    for state in STATES:
        found = stays[state.name]
        mean, margin = sum(found) / len(found), 3.3 * state.dwell_s / len(found) ** 0.5
        assert abs(mean - state.dwell_s) < margin, state.name
        # Of an exponential distribution the median is ln 2 of the mean, and the deviation is the mean.
        assert sorted(found)[len(found) // 2] == pytest.approx(0.693 * state.dwell_s, rel=0.15)
        assert (sum((one - mean) ** 2 for one in found) / len(found)) ** 0.5 == pytest.approx(mean, rel=0.15)
    total = sum(map(sum, stays.values()))
    assert [sum(stays[state.name]) / total for state in STATES] == pytest.approx([60 / 90, 20 / 90, 10 / 90], abs=0.04)
    assert firsts.count("good") > firsts.count("medium") > firsts.count("bad") > 0


def test_a_course_of_states_skips_what_is_over() -> None:
    steps = list(itertools.islice(walk(STATES, 1, "pi"), 20))
    course = course_of(Variation(planned=PLANNED, states=STATES), {}, 1, "pi")
    assert course.at(0.0) == (steps[0][1].links, steps[1][0])
    assert course.at(steps[11][0]) == (steps[11][1].links, steps[12][0])


def test_all_that_a_link_may_be() -> None:
    assert links_of(PLANNED, None, {}) == [PLANNED]
    assert links_of(PLANNED, Variation(planned=PLANNED, states=STATES), {}) == [one.links for one in STATES]
    track = Track(at_ms=(0, 1), length_ms=2, rate_bps=(1_000, 9_000), delay_us=(50_000, 2_000), loss=(0.2, 0.0))
    best, worst = links_of(PLANNED, Variation(planned=PLANNED, up="t"), {"t": track})
    assert (best.up, worst.up) == (Link(9_000, 2_000, 2_000, 0.0), Link(1_000, 50_000, 4_000, 0.2))
    assert best.down == worst.down == PLANNED.down


def test_a_trace_with_losses_ends_the_bursts_of_a_link() -> None:
    bursts = GilbertElliott(0.1, 0.5)
    planned = Link(1_000_000, loss=bursts.mean_loss, bursts=bursts)
    with_losses = Track(at_ms=(0, 100), length_ms=200, loss=(0.5, 0.25))
    assert with_losses.link(1, planned) == Link(1_000_000, loss=0.25)
    assert Track(at_ms=(0, 100), length_ms=200, rate_bps=(1_000, 2_000)).link(1, planned).bursts == bursts
