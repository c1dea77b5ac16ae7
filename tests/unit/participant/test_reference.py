"""The step that tells how fast an image computes."""

from __future__ import annotations

import math

from fedsim_runner.participant.reference import (
    LEAST_S,
    LEAST_STEPS,
    WARM_UP,
    python_step,
    seconds_per_step,
    training_step,
)


def test_slow_steps_are_few_and_those_of_the_warm_up_do_not_count() -> None:
    done: list[float] = []
    assert seconds_per_step(lambda: done.append(1.0), clock=lambda: 2.0 * max(0, len(done) - WARM_UP)) == 2.0
    assert len(done) == WARM_UP + LEAST_STEPS


def test_quick_steps_are_repeated_until_their_time_can_be_measured() -> None:
    done: list[float] = []
    seconds_per_step(lambda: done.append(1.0), clock=lambda: 0.125 * max(0, len(done) - WARM_UP) / 4)
    assert len(done) - WARM_UP == math.ceil(LEAST_S / (0.125 / 4))


def test_the_steps_compute() -> None:
    rows = python_step()()
    assert len(rows) == len(rows[0]) == 32 and rows[1][1] > 0
    step = training_step()
    step()
    step()
