"""Device time against wall time."""

import pytest

from fedsim_runner.contract.course_state import CourseState
from fedsim_runner.contract.events import AgentStarted
from fedsim_runner.contract.time_scale import REAL_TIME, TimeScale, read_factor


def test_a_device_second_takes_four_wall_seconds_at_a_quarter():
    scale = TimeScale(0.25)
    assert scale.to_wall(1.0) == 4.0
    assert scale.to_device(4.0) == 1.0
    assert scale.rate(1_000_000) == 250_000
    assert scale.device_rate(250_000) == 1_000_000
    assert not scale.is_real


def test_in_real_time_nothing_changes():
    assert REAL_TIME.is_real
    assert (REAL_TIME.to_wall(7.5), REAL_TIME.to_device(7.5), REAL_TIME.rate(7.5)) == (7.5, 7.5, 7.5)


def test_what_is_unknown_stays_unknown():
    scale = TimeScale(0.5)
    assert scale.to_wall(None) is scale.to_device(None) is scale.rate(None) is scale.device_rate(None) is None


def test_spans_are_shown_as_the_user_gave_them():
    assert TimeScale(0.05).describe(6000.0) == "300 s of device time"
    assert REAL_TIME.describe(59.7, 0) == "60 s"
    assert TimeScale(0.05).describe_wall(60.2) == "60 s of wall time"
    assert REAL_TIME.describe_wall(60.2) == "60 s"


@pytest.mark.parametrize("factor", [0.0, -1.0, float("inf"), float("nan")])
def test_a_factor_that_is_none_is_refused(factor):
    with pytest.raises(ValueError, match="time factor"):
        TimeScale(factor)


@pytest.mark.parametrize("value", [None, True, "0.5", 0, -0.5, float("nan"), float("inf")])
def test_files_without_a_factor_are_of_real_time(value):
    assert read_factor(value) == REAL_TIME


def test_the_course_has_the_scale_that_its_agents_name():
    course = CourseState().apply_all([AgentStarted("netem", "6.1", 1, time_factor=0.25, t=1.0)])
    assert course.time_scale == TimeScale(0.25)
    assert CourseState().apply_all([AgentStarted("netem", "6.1", 1, t=1.0)]).time_scale == REAL_TIME
