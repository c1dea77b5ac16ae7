"""What the time of a device's own steps says."""

from __future__ import annotations

import pytest

from fedsim_runner.contract.link_verdict import OUT, UNDETERMINED, WITHIN
from fedsim_runner.results.compute_verdict import Timed, Work, combine, judge_alike, judge_timed, judge_work


@pytest.mark.parametrize(
    ("cpus", "threads", "work", "asked", "error", "verdict"),
    [
        pytest.param(0.05, 1, Work(10, 10.0, 0.5), 0.05, 0.0, WITHIN, id="as-asked"),
        pytest.param(0.05, 1, Work(10, 13.0, 0.5), 0.05, 0.3, OUT, id="held-up"),
        pytest.param(0.05, 1, Work(10, 5.0, 0.5), 0.05, -0.5, OUT, id="limit-not-in-force"),
        pytest.param(0.05, 1, Work(100, 10.0, 0.5), 0.05, 0.0, UNDETERMINED, id="steps-of-few-periods"),
        pytest.param(1.0, 1, Work(5, 2.0, 2.0), 1.0, 0.0, WITHIN, id="a-whole-core"),
        pytest.param(1.0, 1, Work(20, 2.0, 2.0), 1.0, 0.0, WITHIN, id="a-whole-core-has-no-periods"),
        pytest.param(0.9, 1, Work(20, 2.0, 1.8), 0.9, 0.0, UNDETERMINED, id="less-than-a-core-has-periods"),
        pytest.param(1.5, 1, Work(5, 2.0, 2.4), 1.0, 0.0, WITHIN, id="other-threads-as-well"),
        pytest.param(1.5, 1, Work(5, 3.0, 2.0), 1.0, 0.5, OUT, id="no-core-free"),
        pytest.param(4.0, 4, Work(5, 2.0, 8.0), 4.0, 0.0, WITHIN, id="all-threads-busy"),
        pytest.param(4.0, 4, Work(5, 2.0, 2.0), 4.0, 3.0, UNDETERMINED, id="one-of-four-busy"),
    ],
)
def test_steps_are_judged_by_their_processor_time(
    cpus: float, threads: int, work: Work, asked: float, error: float, verdict: str
) -> None:
    found = judge_work(cpus, threads, work)
    assert found is not None
    assert (found.cpus_asked, found.error, found.verdict) == (asked, pytest.approx(error), verdict)
    assert found.cpus == work.cpu_seconds / work.seconds


@pytest.mark.parametrize("work", [Work(0, 0.0, 0.0), Work(3, 1.0, 0.0), Work(3, 0.0, 1.0)])
def test_a_device_that_has_not_computed_says_nothing(work: Work) -> None:
    assert judge_work(1.0, 1, work) is None


@pytest.mark.parametrize(
    ("cpus", "timed", "verdict"),
    [
        pytest.param(1.0, Timed(2.0, 2.1, 2.5), WITHIN, id="as-asked"),
        pytest.param(1.0, Timed(2.0, 2.4, 2.5), OUT, id="too-slow"),
        pytest.param(1.0, Timed(2.0, 1.6, 2.5), OUT, id="too-fast"),
        pytest.param(1.0, Timed(2.0, 2.05, 0.004), UNDETERMINED, id="timed-for-too-short"),
        # Of a step that took longer, the time of its parts is known less well by as much.
        pytest.param(1.0, Timed(1.0, 1.3, 0.0064), UNDETERMINED, id="slow-but-not-surely"),
    ],
)
def test_a_timed_step_is_judged_by_what_its_parts_took(cpus: float, timed: Timed, verdict: str) -> None:
    assert judge_timed(cpus, 1, timed) == verdict


@pytest.mark.parametrize(
    ("error", "margin", "verdict"),
    [(0.05, 0.0, WITHIN), (0.2, 0.0, OUT), (0.2, 0.15, WITHIN), (0.0, 0.5, UNDETERMINED)],
)
def test_equal_devices_agree_within_the_margin(error: float, margin: float, verdict: str) -> None:
    assert judge_alike(error, margin) == verdict


@pytest.mark.parametrize(
    ("verdicts", "one"),
    [((WITHIN, OUT), OUT), ((WITHIN, None), WITHIN), ((UNDETERMINED, WITHIN), WITHIN), ((None,), UNDETERMINED)],
)
def test_one_verdict_for_several(verdicts: tuple[str | None, ...], one: str) -> None:
    assert combine(*verdicts) == one  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cpus", "threads", "work", "course_s", "verdict"),
    [
        pytest.param(0.25, 1, Work(20, 0.1, 0.1), 20.0, WITHIN, id="short-steps-of-no-account"),
        pytest.param(0.25, 1, Work(20, 0.1, 0.1), 10.0, UNDETERMINED, id="short-steps-that-count"),
        pytest.param(0.25, 1, Work(20, 0.1, 0.1), None, UNDETERMINED, id="no-course"),
        pytest.param(4.0, 4, Work(5, 2.0, 2.0), 100.0, WITHIN, id="idle-threads-of-no-account"),
        pytest.param(0.05, 1, Work(10, 13.0, 0.5), 1000.0, OUT, id="what-is-out-stays-so"),
    ],
)
def test_what_is_nothing_beside_the_course_is_within(
    cpus: float, threads: int, work: Work, course_s: float | None, verdict: str
) -> None:
    found = judge_work(cpus, threads, work, course_s=course_s)
    assert found is not None and found.verdict == verdict
    share = None if course_s is None else found.error * work.cpu_seconds / found.cpus_asked / course_s
    assert found.of_course == (share if share is None else pytest.approx(share))
