"""What a device gets of a lab host on which a reference step was timed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim_runner.compute.calibration import (
    QUOTA_CPUS,
    SLOWED,
    Calibration,
    Timing,
    devices_of_each_quota,
    small_quota,
    summarise,
    threads_to_try,
)
from fedsim_runner.compute.references import REFERENCES, convert, reference_of_engine, step_program
from fedsim_runner.compute.values import Share


def calibration(one_s: float = 0.4, two_s: float = 0.25, wall_s: float = 1.6) -> Calibration:
    timings = (
        Timing(1, 0.25, wall_s, one_s, 0.01, 5),
        Timing(2, None, two_s, 2 * two_s, 0.01, 5),
        Timing(1, None, one_s, one_s, 0.01, 5),
    )
    return Calibration("a processor", "mobilenetv3-small", "fedsim/engine:1", "2026-01-01T00:00:00Z", timings)


@pytest.mark.parametrize(
    ("seconds", "share"),
    [
        (4.0, Share(0.1, 1)),
        (0.4, Share(1.0, 1)),
        (0.3, Share(1.66667, 2)),
        (0.25, Share(2.0, 2)),
        (0.125, Share(4.0, 2)),  # faster than the host: more cores than it has, so that the cpu factor shrinks
    ],
)
def test_the_share_follows_from_the_time_of_a_step(seconds: float, share: Share) -> None:
    assert calibration().share(seconds) == share


def test_a_host_that_is_twice_as_fast_gives_half_the_share() -> None:
    assert calibration(one_s=0.2).share(4.0).cpus == calibration(one_s=0.4).share(4.0).cpus / 2


def test_steps_that_were_held_up_are_noticed() -> None:
    assert not calibration().was_busy
    assert calibration(wall_s=2.0).was_busy


def test_a_calibration_whose_times_differed_is_not_sure() -> None:
    found = calibration()
    within, *free = found.timings
    assert found.is_sure
    assert not replace(found, timings=(replace(within, spread=0.06), *free)).is_sure
    assert not calibration(wall_s=2.0).is_sure


def test_the_smaller_quota_is_that_of_the_slowest_devices() -> None:
    reference = REFERENCES["mobilenetv3-small"]
    for free_s in (0.08, 0.4):  # lab hosts of different speed: a step takes as long within it
        cpus = small_quota(free_s, reference)
        assert SLOWED * free_s / cpus == pytest.approx(reference.slowest_s, rel=0.01)
    assert small_quota(10.0, reference) == QUOTA_CPUS / 2


def test_a_single_step_has_no_spread() -> None:
    found = summarise(1, 0.04, [(12.0, 0.5)])
    assert (found.wall_s, found.cpu_s, found.spread, found.steps) == (12.0, 0.5, 0.0, 1)


def test_steps_are_summed_up_by_their_median_and_quartiles() -> None:
    found = summarise(1, None, [(4.0, 1.0), (4.4, 1.1), (4.8, 1.2), (40.0, 10.0), (4.4, 1.1)])
    assert (found.wall_s, found.cpu_s, found.steps) == (4.4, 1.1, 5)
    assert found.spread == pytest.approx(0.05 / 1.1, abs=1e-4)


def test_within_a_quota_what_steps_took_is_their_mean() -> None:
    # 1.1 s of a quota of one in four: each step ends in another part of a period, and they take 4.4 s on average.
    assert summarise(1, 0.25, [(4.2, 1.1), (4.2, 1.1), (4.8, 1.1)]).wall_s == pytest.approx(4.4)
    assert summarise(1, 0.25, [(4.0, 1.0), (4.0, 1.0), (5.2, 1.3)]).cpu_s == pytest.approx(1.1)


def test_a_step_takes_more_processor_time_within_a_smaller_quota() -> None:
    found = calibration()
    timings = (*found.timings[:2], Timing(1, None, 0.32, 0.32, 0.01, 5), Timing(1, 0.0625, 9.6, 0.6, 0.01, 2))
    found = replace(found, timings=timings)
    assert found.within_quota.cpus == 0.25
    assert [found.step_cpu_s(cpus) for cpus in (1.0, 0.5, 0.25, 0.125, 0.0625, 0.01)] == pytest.approx(
        [0.32, 0.36, 0.4, 0.5, 0.6, 0.6]
    )
    for seconds in (0.5, 4.0, 40.0):
        cpus = found.share(seconds).cpus
        assert found.step_cpu_s(cpus) / cpus == pytest.approx(seconds, rel=0.001)


def test_a_step_is_equal_to_as_many_parts_as_were_timed_between_steps() -> None:
    reference = REFERENCES["mobilenetv3-small"]
    found = replace(calibration(), version=reference.version)
    assert found.parts(0.1) is None and not found.is_current(reference)
    within = (Timing(1, 0.25, 1.6, 0.4, 0.01, 5, 0.004), Timing(1, 0.0625, 9.6, 0.6, 0.01, 2))
    free = Timing(1, None, 0.36, 0.36, 0.01, 5, 0.004)
    found = replace(found, timings=(*within, free))
    assert [found.parts(cpus) for cpus in (1.0, 0.5, 0.125, 0.01)] == pytest.approx([90, 95, 100, 100])
    assert found.is_current(reference)
    # As earlier versions timed it.
    found = replace(found, timings=(*within, replace(free, part_cpu_s=None)))
    assert (found.parts(1.0), found.is_current(reference)) == (100, False)


def test_a_calibration_with_another_version_of_a_step_is_measured_again() -> None:
    reference = REFERENCES["mobilenetv3-small"]
    timings = [Timing(1, cpus, 1.6, 0.4, 0.01, 5, 0.004) for cpus in (0.25, 0.0625, None)]
    found = replace(calibration(), timings=tuple(timings))
    assert found.version != reference.version and not found.is_current(reference)
    assert replace(found, version=reference.version).is_current(reference)


def test_a_calibration_in_one_quota_is_of_an_earlier_version() -> None:
    reference = REFERENCES["numpy-mlp"]
    assert not calibration().is_current(reference)
    more = (*calibration().timings, Timing(1, 0.05, 12.0, 0.6, 0.01, 2))
    assert replace(calibration(), timings=more).is_current(reference)


def test_threads_are_tried_as_far_as_there_are_cores() -> None:
    assert [threads_to_try(cores) for cores in (1, 2, 4, 6, 64)] == [
        [1],
        [1, 2],
        [1, 2, 4],
        [1, 2, 4, 6],
        [1, 2, 4, 64],
    ]


def test_each_reference_has_a_program_and_one_engine() -> None:
    assert len({facts.engine for facts in REFERENCES.values()}) == len(REFERENCES)
    for facts in REFERENCES.values():
        assert reference_of_engine(facts.engine) == facts
        assert "def make_step(threads: int)" in step_program(facts)
        assert "def make_part()" in step_program(facts)
    assert reference_of_engine("toy") is None


def test_a_figure_is_converted_and_back() -> None:
    known, wanted = REFERENCES["mobilenetv3-small"], REFERENCES["numpy-mlp"]
    seconds = convert(4.76, known, wanted)
    assert seconds == pytest.approx(4.76 * wanted.base_seconds / known.base_seconds)
    assert convert(seconds, wanted, known) == pytest.approx(4.76)


@pytest.mark.parametrize(
    ("cores", "gib", "reference", "of_each"),
    [
        (2, 24, "mobilenetv3-small", 2),
        (64, 512, "numpy-mlp", 2),
        (1, 24, "numpy-mlp", 1),
        (2, 4, "mobilenetv3-small", 1),
    ],
)
def test_so_many_containers_are_timed_as_the_lab_host_has_room_for(
    cores: int, gib: int, reference: str, of_each: int
) -> None:
    assert devices_of_each_quota(cores, gib << 30, REFERENCES[reference]) == of_each


@pytest.mark.parametrize("which", [0, 2])
def test_a_calibration_is_as_sure_as_the_least_sure_of_its_times(which: int) -> None:
    """Those without a limit take two seconds: what slows the machine for as long is in them alone."""
    made = calibration()
    timings = [replace(one, spread=0.09) if number == which else one for number, one in enumerate(made.timings)]
    doubtful = replace(made, timings=tuple(timings))
    assert made.is_sure
    assert (doubtful.uncertainty, doubtful.is_sure) == (0.09, False)
