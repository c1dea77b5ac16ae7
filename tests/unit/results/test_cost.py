"""Bytes and the devices' time until a round, and until an accuracy."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from fedsim_runner.results import write_report
from fedsim_runner.results.tables.cost import describe_costs, find_target, list_targets
from fedsim_runner.results.tables.tasks import Step
from tests.unit.results.synthetic import MODEL_BYTES, write_run

ROUNDS: list[dict[str, Any]] = [
    {"round": 1, "elapsed_seconds": 10.0, "test_acc": 0.35},
    {"round": 2, "elapsed_seconds": None, "ended_at": 15.0},
    {"round": 3, "elapsed_seconds": 30.0, "test_acc": 0.62},
]
TABLE: list[dict[str, Any]] = [
    {"arrived_at": 1.0, "trained_at": 4.0, "answered_at": 4.0, "delivered_at": 9.0, "download_seconds": 1.0,
     "compute_seconds": 3.0, "upload_seconds": 5.0, "waiting_seconds": 100.0},
    {"arrived_at": 11.0, "trained_at": 14.0, "answered_at": None, "delivered_at": None, "compute_seconds": 3.0},
    {"arrived_at": None, "trained_at": None, "answered_at": None, "delivered_at": None},
]  # fmt: skip
STEPS = [
    Step(100.0, "send", "model_para", 0, 1, 500),
    Step(101.0, "sent", "model_para", 0, 1, 500),
    Step(109.0, "received", "model_para", 0, 1, 70),
    Step(120.0, "send", "evaluate", 1, 1, 9),
]


def test_costs_until_a_round() -> None:
    found = describe_costs(ROUNDS, TABLE, STEPS, 100.0)
    assert [entry["message_bytes_so_far"] for entry in found.values()] == [570, 570, 579]
    assert [entry["device_seconds_so_far"] for entry in found.values()] == [9.0, 12.0, 12.0]


def test_costs_of_an_accuracy_are_those_until_the_first_evaluation_that_reached_it() -> None:
    costs = describe_costs(ROUNDS, TABLE, STEPS, 100.0)
    rounds = [{**entry, **costs[entry["round"]]} for entry in ROUNDS]
    assert [(one["accuracy"], one["round"]) for one in list_targets(rounds, "test_acc")] == [
        (0.1, 1), (0.2, 1), (0.3, 1), (0.4, 3), (0.5, 3), (0.6, 3),
    ]  # fmt: skip
    assert find_target(rounds, "test_acc", 0.6) == {
        "accuracy": 0.6,
        "metric": "test_acc",
        "round": 3,
        "elapsed_seconds": 30.0,
        "message_bytes": 579,
        "device_seconds": 12.0,
    }
    assert find_target(rounds, "test_acc", 0.7) is None
    assert list_targets(rounds, None) == []


def test_unknown_costs_are_none() -> None:
    found = describe_costs(ROUNDS[:1], [], [], 0.0)
    assert found == {1: {"message_bytes_so_far": None, "device_seconds_so_far": None}}


def test_the_tables_of_a_run_have_them(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", clients=2, rounds=4)
    report = write_report(folder)
    assert [entry["message_bytes_so_far"] for entry in report["rounds"]] == [4 * MODEL_BYTES * k for k in range(1, 5)]
    seconds = [entry["device_seconds_so_far"] for entry in report["rounds"]]
    assert seconds == sorted(seconds) and seconds[0] > 0
    with (folder / "targets.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["accuracy"]) for row in rows][:2] == [0.1, 0.2]
    assert all(row["metric"] == "test_acc" and row["message_bytes"] for row in rows)
