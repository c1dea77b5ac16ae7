"""The summary on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fedsim_runner.results import render_summary
from fedsim_runner.results.tables.rounds import mean_round_seconds


def shown(rounds: list[dict[str, Any]], tmp_path: Path, **more: Any) -> str:
    console = Console(width=120, record=True, file=(tmp_path / "out").open("w"))
    report = {"run": "r", "status": "finished", "duration_s": 3.0, "rounds": rounds, "final": {}, "devices": {}} | more
    console.print(render_summary(report, tmp_path))
    return console.export_text()


def test_rounds_that_were_not_evaluated_are_not_in_the_table(tmp_path: Path) -> None:
    rounds: list[dict[str, Any]] = [{"round": number, "seconds": None} for number in range(1, 101)]
    for number in range(10, 101, 10):
        rounds[number - 1] |= {"test_acc": number / 100, "seconds": 1.0}
    text = shown(rounds, tmp_path)
    table = [line.split() for line in text.splitlines() if line.strip()[:1].isdigit()]
    assert [row[0] for row in table] == [str(number) for number in range(10, 101, 10)]
    assert "(10 of 100 rounds; all in rounds.csv)" in text
    assert "accuracy by round  ▁▂▃▄▅▅▆▇██" in text


@pytest.mark.parametrize(("lasted", "head"), [(3.0, "r: finished after 3.00 s"), (None, "r: running")])
def test_a_course_that_has_not_begun_has_no_duration(lasted: float | None, head: str, tmp_path: Path) -> None:
    status = head.split()[1]
    assert shown([], tmp_path, status=status, duration_s=lasted, link_backend="netem").split("\n")[1] == (
        f"{head}, links by netem"
    )


def test_the_mean_of_a_round_counts_those_between_two_evaluations() -> None:
    rounds: list[dict[str, Any]] = [{"round": number} for number in range(1, 21)]
    rounds[9] |= {"seconds": 3.0, "elapsed_seconds": 3.0}
    rounds[19] |= {"seconds": 1.0, "elapsed_seconds": 4.0}
    assert mean_round_seconds(rounds) == 0.2
    assert mean_round_seconds(rounds[:9]) is None


def test_a_course_that_classifies_nothing_is_judged_by_its_loss(tmp_path: Path) -> None:
    rounds: list[dict[str, Any]] = [{"round": number, "test_avg_loss": 40.0 / number} for number in (1, 2, 4)]
    text = shown(rounds, tmp_path)
    assert "loss by round  █▅▃" in text
    assert "accuracy" not in text


def test_trees_have_a_loss_that_is_no_mean(tmp_path: Path) -> None:
    rounds: list[dict[str, Any]] = [{"round": number, "test_loss": 0.5 / number} for number in (1, 2)]
    text = shown(rounds, tmp_path)
    assert "0.2500" in text and "loss by round" in text


def test_rounds_without_any_evaluation_still_show(tmp_path: Path) -> None:
    text = shown([{"round": 1, "seconds": 2.0}], tmp_path)
    assert "2.00 s" in text and "rounds.csv" not in text
