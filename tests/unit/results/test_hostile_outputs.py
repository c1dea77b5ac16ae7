"""One participant's files, with whatever is in them, in the report of a run: the others' figures are as they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.results import write_report
from fedsim_runner.results.tables import tasks
from fedsim_runner.results.tables.devices import LONGEST_RECORD

from .synthetic import BEGAN, write_run

pytestmark = pytest.mark.lengthy

BAD = "smartphone-high-1"
RECORD = ("exit_code", "error", "gate_opened", "ended", "rx_bytes", "tx_bytes", "memory_peak_bytes", "cpu_seconds")
STEP = ("t", "what", "kind", "round", "peer", "bytes")
VALUES = (
    "1" * 401, "-" + "9" * 401, "1" * 5000, "1e400", "1e308", "-1e308", "NaN", "Infinity", "-Infinity", "0.1e-400",
    "9223372036854775808", "253402300801", "-62135596801", "null", "true", "{}", "[[[]]]", "[" * 100_000,
    '"x"', '"\\ud800"', '"\\u001b]0;title\\u0007\\u009b2J"', '"' + "a" * 100_000 + '"',
)  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "r-1", clients=3, rounds=3)


def others(report: dict[str, Any]) -> tuple[object, ...]:
    """What a report says about the other devices, and about the course."""
    devices = {name: entry for name, entry in report["devices"].items() if name not in (BAD, "server")}
    rows = [row for row in report["device_rounds"] if row["device"] != BAD]
    shares = [{key: row[key] for key in row if "waiting" not in key and "behind" not in key} for row in rows]
    kept = ("type", "state", "bytes_up", "bytes_down", "memory_peak_bytes", "cpu_seconds", "course_seconds")
    return report["final"], {name: [entry[key] for key in kept] for name, entry in devices.items()}, len(shares)


def written(folder: Path) -> dict[str, Any]:
    """Make the report, and read it as another program would."""
    write_report(folder)

    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} is not JSON")

    text = (folder / "report.json").read_text(encoding="utf-8")
    report = json.loads(text, parse_constant=refuse)
    for name in ("rounds.csv", "devices.csv", "device_rounds.csv"):
        assert (folder / name).read_text(encoding="utf-8").replace("\n", "").isprintable()
    return dict(report)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value[:12])
def test_a_record_of_its_end_with_any_values(run: Path, value: str) -> None:
    before = others(written(run))
    record = "{" + ", ".join(f'"{key}": {value}' for key in RECORD) + "}"
    (run / "collected" / BAD / "exit.json").write_text(record, encoding="utf-8")
    report = written(run)
    assert others(report) == before
    figures = [entry for entry in report["devices"][BAD].values() if isinstance(entry, int | float)]
    assert all(abs(figure) < 1e16 for figure in figures)


@pytest.mark.parametrize("key", STEP)
def test_activity_with_any_values(run: Path, key: str) -> None:
    before = others(written(run))
    path = run / "collected" / BAD / "course" / "activity.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    odd = [json.dumps({**json.loads(line), key: "@"}).replace('"@"', value) for line in lines for value in VALUES]
    path.write_text("\n".join([*lines, *odd]) + "\n", encoding="utf-8")
    report = written(run)
    assert others(report) == before
    ends = [row[part] for row in report["device_rounds"] for part in row if part.endswith("seconds") and row[part]]
    assert ends and max(map(abs, ends)) < 1e5


def test_a_record_that_is_too_long_is_not_read(run: Path) -> None:
    (run / "collected" / BAD / "exit.json").write_text('{"rx_bytes": 5}' + " " * LONGEST_RECORD, encoding="utf-8")
    assert written(run)["devices"][BAD]["bytes_down"] != 5


def test_of_endless_activity_a_part_is_read(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "MOST_STEPS", 100)
    monkeypatch.setattr(tasks, "LEAST_STEPS", 20)
    path = run / "collected" / BAD / "course" / "activity.jsonl"
    good = path.read_bytes()
    step = json.dumps({"t": BEGAN + 1, "what": "trained", "round": 0}).encode() + b"\n"
    path.write_bytes(good + b"x" * 5_000_000 + b"\n" + step * 50_000)
    activity = tasks.read_activity(run, [BAD, "server", "b", "c"], "server", (BEGAN - 100, BEGAN + 1000), {})
    assert len(activity[BAD]) <= 25
    assert len(activity["server"]) > 25


def test_very_many_steps_of_one_round_take_no_longer_than_others() -> None:
    steps = [tasks.Step(BEGAN + number / 1e6, "received", tasks.MODEL, 0, 0, 1) for number in range(200_000)]
    queue = tasks._queues(steps, "received")[0]
    assert tasks._next(queue, BEGAN + 1) is None and not queue
