"""A silence timeout that is too short to tell work from silence is named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim_runner.contract.time_scale import REAL_TIME, TimeScale
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.plan.silence_note import describe_short_silence
from fedsim_runner.spec.experiment import Experiment
from tests.builders import experiment, lab_host


def with_silence(seconds: float) -> Experiment:
    made = experiment(clients=1)
    return replace(made, course=replace(made.course, silence_timeout_s=seconds))


@pytest.mark.parametrize(
    ("seconds", "scale", "enough"),
    [(0.5, REAL_TIME, "3 s"), (3, REAL_TIME, None), (1.4, TimeScale(0.5), "1.5 s"), (1.5, TimeScale(0.5), None)],
)
def test_only_a_short_one_is_named(seconds: float, scale: TimeScale, enough: str | None) -> None:
    found = list(describe_short_silence(with_silence(seconds), scale))
    assert len(found) == (enough is not None)
    for note in found:
        assert note.startswith(f"course.silence_timeout is {seconds:g} s: ")
        assert note.endswith(f"; {enough} are enough")


def test_the_plan_has_the_note() -> None:
    plan = make_plan(with_silence(1), [lab_host()], run="a")
    assert list(describe_short_silence(plan.experiment)) == [note for note in plan.notes if "silence" in note]
