"""Steps of work, from the lines that a participant records."""

from __future__ import annotations

from fedsim_runner.results.tables.tasks import Step
from fedsim_runner.results.tables.work import WorkStep, read_work


def step(t: float, what: str, cpu: float | None = None) -> Step:
    return Step(t, what, None, 0, None, None, None, cpu)


def test_a_step_lasts_from_its_begin_to_its_end() -> None:
    steps = [step(1, "received"), step(2, "train"), step(5, "trained", 0.5), step(6, "evaluate"), step(7, "evaluated")]
    assert list(read_work(steps)) == [WorkStep("train", 2, 5, 0.5), WorkStep("evaluate", 6, 7, None)]
    assert [work.seconds for work in read_work(steps)] == [3, 1]


def test_what_was_begun_anew_counts_from_then() -> None:
    """A participant that was started anew begins what its earlier process did not end."""
    assert list(read_work([step(1, "train"), step(4, "train"), step(6, "trained", 1.0)])) == [
        WorkStep("train", 4, 6, 1.0)
    ]


def test_an_end_without_a_begin_and_a_begin_without_an_end_are_no_steps() -> None:
    assert list(read_work([step(1, "trained", 1.0), step(2, "aggregate")])) == []
