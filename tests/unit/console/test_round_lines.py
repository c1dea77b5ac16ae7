"""What output that is no terminal tells of a round that takes long."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from fedsim_runner.console.progress import Progress
from fedsim_runner.console.round_lines import join_names


def printed(*happened: Mapping[str, Any], terminal: bool = False) -> list[str]:
    """The lines about rounds; what has no ``event`` is a snapshot."""
    console = Console(file=io.StringIO(), width=160, force_terminal=terminal, color_system=None)
    with Progress(console, 30) as progress:
        progress.stage("course")
        for one in happened:
            if "event" in one:
                progress.event(one)
            else:
                progress.snapshot(one)
        progress.close()
    return [line.strip() for line in console.file.getvalue().splitlines() if line.startswith("  round")]


def trained(t: float, device: str, number: int, **results: float) -> dict[str, Any]:
    return {"t": t, "event": "client_result", "device": device, "round": number, "results": results}


def started(t: float, number: int) -> dict[str, Any]:
    return {"t": t, "event": "round_started", "round": number}


def evaluated(t: float, number: int) -> dict[str, Any]:
    return {"t": t, "event": "evaluated", "round": number, "results": {"test_acc": 0.5}}


def doing(t: float, **states: str) -> dict[str, Any]:
    devices = {name: {"state": state, "round": 1} for name, state in states.items()}
    return {"t": t, "round": 1, "total_rounds": 30, "devices": devices}


def test_a_round_without_an_evaluation_is_told_client_by_client() -> None:
    lines = printed(
        started(100, 1),
        doing(101, server="waiting", pi="training", phone="training", far="receiving"),
        trained(105, "pi", 1, train_loss=3.0, train_avg_loss=0.4567),
        trained(111, "phone", 1, train_loss=2.0),
        doing(112, server="waiting", pi="waiting", phone="sending", far="training"),
        doing(141, server="receiving", pi="offline", phone="waiting", far="sending"),
        started(145, 2),
        trained(152, "far", 2, train_loss=1.0),
    )
    assert lines == [
        "round 1/30  for 11 s  trained: pi (loss 0.4567), phone  training: pi, phone  receiving: far",
        "round 1/30  for 41 s  trained: pi (loss 0.4567), phone  sending: far  receiving: server  offline: pi",
        "round 2/30  for 7 s  trained: far  sending: far  receiving: server  offline: pi",
    ]


def test_rounds_that_are_evaluated_soon_need_no_other_line() -> None:
    events = [
        event for number in range(1, 30) for event in (started(4 * number, number), evaluated(4 * number, number))
    ]
    lines = printed(*events)
    assert len(lines) == 29
    assert not any(" for " in line for line in lines)


def test_one_evaluation_in_ten_rounds_leaves_no_gap_of_minutes() -> None:
    happened: list[Mapping[str, Any]] = []
    for number in range(1, 21):
        happened += [started(27 * number, number), trained(27 * number + 20, "pi", number, train_loss=1.0)]
        happened += [evaluated(27 * number + 26, number)] if number % 10 == 0 else []
    lines = printed(*happened)
    for number in range(1, 21):
        assert any(line.startswith(f"round {number}/30") for line in lines), number


def test_a_terminal_has_its_live_view() -> None:
    assert printed(started(100, 1), doing(190, server="waiting"), terminal=True) == []


def test_before_the_first_round_there_is_none_to_tell_of() -> None:
    assert printed(doing(1, pi="joining"), doing(100, pi="joining")) == []


def test_a_metric_that_is_no_number_is_left_out() -> None:
    broken = {**trained(120, "pi", 1), "results": {"train_avg_loss": None}}
    assert printed(started(100, 1), broken) == ["round 1/30  for 20 s  trained: pi"]


def test_many_names_are_shortened() -> None:
    assert join_names(["a", "b", "c", "d"]) == "a, b, c, d"
    assert join_names(["a", "b", "c", "d", "e", "f"]) == "a, b, c, d and 2 more"
