"""Results of each client by round, and how evenly they are spread."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.contract.events import ClientResult, Event
from fedsim_runner.results import write_report
from fedsim_runner.results.tables.client_results import (
    MOST_METRICS,
    build_client_results,
    choose_metrics,
    describe_fairness,
    describe_last,
    describe_spread,
    percentile,
)
from tests.unit.results.synthetic import write_run


def spread_of(events: list[Event], order: list[str]) -> tuple[list[dict[str, Any]], dict[int, dict[str, Any]]]:
    rows = build_client_results(events, order)
    return rows, describe_spread(rows, choose_metrics(rows))


def test_training_and_evaluation_of_a_round_are_one_row() -> None:
    events = [
        ClientResult("b", 1, {"train_acc": 0.3}),
        ClientResult("a", 1, {"train_acc": 0.4, "train_avg_loss": 2.0}),
        ClientResult("a", 1, {"test_acc": 0.5}),
        ClientResult("a", 2, {"test_acc": 0.6}),
    ]
    assert build_client_results(events, ["a", "b"]) == [
        {"round": 1, "device": "a", "train_acc": 0.4, "train_avg_loss": 2.0, "test_acc": 0.5},
        {"round": 1, "device": "b", "train_acc": 0.3},
        {"round": 2, "device": "a", "test_acc": 0.6},
    ]


def test_every_client_counts_alike() -> None:
    accuracies = {f"c{k}": 0.1 * k for k in range(11)}
    events: list[Event] = [
        ClientResult(name, 3, {"test_acc": value, "train_acc": 1.0}) for name, value in accuracies.items()
    ]
    rows, spread = spread_of(events, list(accuracies))
    found = spread[3]
    assert (found["clients_evaluated"], found["client_accuracy_mean"], found["client_accuracy_p10"]) == (11, 0.5, 0.1)
    assert found["client_accuracy_deviation"] == pytest.approx(0.1**0.5)
    assert (found["client_accuracy_lowest"], found["client_accuracy_highest"]) == (0.0, 1.0)
    assert found["client_loss_mean"] is None
    fairness = describe_fairness(spread, choose_metrics(rows))
    assert fairness is not None and (fairness["accuracy"], fairness["round"]) == ("test_acc", 3)


def test_where_the_server_evaluates_there_is_the_training_of_clients() -> None:
    rows, spread = spread_of([ClientResult("a", 1, {"train_acc": 0.25, "train_loss": 3.0})], ["a"])
    assert choose_metrics(rows) == {"accuracy": "train_acc", "loss": "train_loss"}
    assert spread[1]["client_accuracy_mean"] == 0.25
    assert describe_last(rows, choose_metrics(rows)) == {"a": {"last_accuracy": 0.25, "last_loss": 3.0}}


def test_a_client_may_report_anything() -> None:
    events: list[Event] = [
        ClientResult(
            "a", 1, {f"test_{k}": 1.0 for k in range(1000)} | {"test_acc": 0.5, "=cmd": 1.0, "test_nan": None}
        ),
        ClientResult("b", 1, {"test_acc": 0.7}),
        ClientResult("a", 0, {"test_acc": 9.0}),
        ClientResult("nobody", 1, {"test_acc": 9.0}),
        ClientResult(None, 1, {"test_acc": 9.0}),
    ]
    rows, spread = spread_of(events, ["a", "b"])
    assert [row["device"] for row in rows] == ["a", "b"]
    assert len(rows[0]) <= MOST_METRICS + 2 and rows[0]["test_acc"] == 0.5 and "=cmd" not in rows[0]
    assert spread[1]["client_accuracy_mean"] == 0.6


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.1, None), ([3.0], 0.1, 3.0), ([1.0, 2.0], 0.5, 1.5), ([4.0, 1.0, 3.0, 2.0, 5.0], 0.9, 4.6)],
)
def test_percentiles_are_interpolated(values: list[float], share: float, expected: float | None) -> None:
    assert percentile(values, share) == expected


def test_the_tables_of_a_run_have_them(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", clients=4, rounds=3)
    report = write_report(folder)
    with (folder / "client_results.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 12 and set(rows[0]) == {"round", "device", "test_acc", "test_avg_loss"}
    last = report["rounds"][-1]
    assert last["client_accuracy_lowest"] == pytest.approx(last["test_acc"] - 0.06)
    assert report["fairness"]["client_accuracy_lowest"] == last["client_accuracy_lowest"]
    device = next(name for name in report["devices"] if name.endswith("-3"))
    assert report["devices"][device]["last_accuracy"] == last["client_accuracy_lowest"]
    assert report["devices"]["server"]["last_accuracy"] is None
