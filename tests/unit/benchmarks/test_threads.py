"""What the benchmark of training steps concludes from their times."""

from __future__ import annotations

import ast

import pytest

from benchmarks.threads import cpus_to_try, least, limits_of, worst_ratio
from benchmarks.training_steps import MODELS, PROGRAM


@pytest.mark.parametrize(
    ("cores", "last"),
    [(1, [0.75, 1.0]), (2, [1.5, 1.75, 2.0]), (3, [1.75, 2.0, 3.0]), (16, [2.0, 4.0, 8.0, 16.0])],
)
def test_all_cores_of_the_host_are_tried(cores: int, last: list[float]) -> None:
    assert cpus_to_try(cores)[0] == 0.25
    assert cpus_to_try(cores)[-len(last) :] == last


def test_more_cpus_are_compared_with_the_best_of_fewer() -> None:
    steps = {cpus: {"m": seconds} for cpus, seconds in ((0.5, 4.0), (2.0, 1.5), (1.0, 2.0), (1.2, 3.0))}
    assert worst_ratio(steps, "m") == 1.5
    assert worst_ratio({1.0: {"m": 1.0}}, "m") == 0.0


def test_two_cpus_are_judged_where_two_threads_help_without_us() -> None:
    ours = {1.0: dict.fromkeys(MODELS, 1.0), 2.0: dict.fromkeys(MODELS, 0.8)}
    bare = {1: dict.fromkeys(MODELS, 1.0), 2: {**dict.fromkeys(MODELS, 0.9), MODELS[-1]: 0.5}}
    limits = limits_of(ours, bare)
    assert len(limits) == len(MODELS) + 1
    assert (limits[-1].what, limits[-1].value, limits[-1].most) == (
        f"{MODELS[-1]}: at 2.0 cpus, of the time at 1.0",
        0.8,
        0.7,
    )


def test_the_shorter_of_two_times_counts() -> None:
    assert least(None, {"m": 2.0}) == {"m": 2.0}
    assert least({"m": 1.0, "n": 3.0}, {"m": 2.0, "n": 2.0}) == {"m": 1.0, "n": 2.0}


def test_the_program_for_the_container_is_python() -> None:
    ast.parse(PROGRAM)
