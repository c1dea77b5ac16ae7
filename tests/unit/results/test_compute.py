"""What a report says about how devices computed."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fedsim_runner.contract.course_state import CourseState
from fedsim_runner.contract.events import LimitCorrected
from fedsim_runner.results import render_summary, write_report
from fedsim_runner.results.findings import describe_findings
from fedsim_runner.results.page import try_publish
from fedsim_runner.results.tables.compute import (
    COLUMNS,
    build_compute,
    describe_compute,
    describe_slow_devices,
    stopped_devices,
)
from fedsim_runner.results.tables.tasks import Step
from tests.unit.results.synthetic import write_run

#: Rounds of 60 s make a period of 80 ms of no account.
SLOW = 200.0


def run_with(folder: Path, used: dict[str, float]) -> tuple[Path, dict[str, Any]]:
    """A run in which training took so many processors of each device, which records the processor time."""
    write_run(folder, rounds=3, speed=SLOW)
    for name, cpus in used.items():
        path = folder / "collected" / name / "course" / "activity.jsonl"
        steps, began = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()], 0.0
        for step in steps:
            if step["what"] == "train":
                began = step["t"]
            elif step["what"] == "trained":
                step["cpu"] = (step["t"] - began) * cpus
        path.write_text("".join(json.dumps(step) + "\n" for step in steps), encoding="utf-8")
    return folder, write_report(folder)


# The limits of the synthetic clients are 0.4, 0.2, 0.133 and 0.1.
USED = {"smartphone-high-1": 0.4, "smartphone-low-2": 0.1, "raspberry-pi-3": 0.3}


def test_each_device_with_a_limit_has_a_row(tmp_path: Path) -> None:
    folder, report = run_with(tmp_path / "r", USED)
    rows = {row["device"]: row for row in report["compute"]}
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "server": "undetermined",
        "smartphone-high-1": "within",
        "smartphone-low-2": "out",
        "raspberry-pi-3": "out",
        "iot-minimal-4": "undetermined",
    }
    assert rows["smartphone-low-2"]["time_error"] == pytest.approx(1.0, abs=0.01)
    assert "0.1 cpus for 0.2" in rows["smartphone-low-2"]["reason"]
    assert "kernel" in rows["raspberry-pi-3"]["reason"]
    assert rows["iot-minimal-4"]["reason"] == "it has not computed"
    assert (rows["smartphone-high-1"]["steps"], rows["smartphone-high-1"]["cpus_asked"]) == (3, 0.4)
    with (folder / "compute.csv").open(encoding="utf-8", newline="") as stream:
        table = list(csv.DictReader(stream))
    assert tuple(table[0]) == COLUMNS and [row["device"] for row in table] == list(rows)


@pytest.mark.drawing
def test_who_was_not_served_is_named_everywhere(tmp_path: Path) -> None:
    folder, report = run_with(tmp_path / "r", USED)
    (line,) = [line for line in describe_findings(report) if "did not compute as requested" in line]
    assert "smartphone-low-2" in line and "raspberry-pi-3" in line and "smartphone-high-1" not in line
    console = Console(width=250, record=True)
    console.print(render_summary(report, folder))
    shown = console.export_text()
    counts = "1 of 5 devices as requested, 2 not, 2 undetermined (it has not computed)"
    assert f"compute during the course: {counts}; worst: smartphone-low-2, 0.1 cpus for 0.2" in shown
    assert try_publish(folder, report) is None
    assert "Compute, as asked and as got" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_cause_that_several_devices_share_is_given_once() -> None:
    reasons = {"a": "2 s for 1 s (likely reason: load)", "b": "3 s for 1 s (likely reason: disk)", "d": "no reason"}
    reasons["c"] = reasons["a"]
    rows = [{"device": name, "verdict": "out", "reason": reason} for name, reason in sorted(reasons.items())]
    assert describe_slow_devices([*rows, {"device": "e", "verdict": "out", "reason": "x"}]) == [
        "Devices that did not compute as requested: a: 2 s for 1 s; c: 2 s for 1 s (likely reason in each case: load); "
        "b: 3 s for 1 s (likely reason: disk); d: no reason; and 1 more in compute.csv."
    ]
    assert describe_slow_devices([{"device": "e", "verdict": "within", "reason": ""}]) == []


def test_runs_without_processor_times_have_no_rows(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", rounds=2)
    report = write_report(folder)
    assert report["compute"] == [] and describe_compute(report["compute"]) is None
    assert (folder / "compute.csv").read_text(encoding="utf-8") == ",".join(COLUMNS) + "\n"


def steps(*times: tuple[float, float], cpus: float = 0.5) -> list[Step]:
    """Training from one moment to the other, several times."""
    found = []
    for begin, end in times:
        found.append(Step(begin, "train", None, 0, None, None))
        found.append(Step(end, "trained", None, 0, None, None, cpu=(end - begin) * cpus))
    return found


def rows_of(
    activity: dict[str, list[Step]], samples: dict[str, int], stopped: Any = None, **entry: Any
) -> dict[str, dict[str, Any]]:
    """The rows of alike devices with half a core each."""
    devices = {name: {"type": "pi", "engine": "light", "lab_host": "a", "cpus": 0.5, **entry} for name in activity}
    placed = {name: {"cpus": 0.5, "threads": 1} for name in activity}
    return {row["device"]: row for row in build_compute(devices, placed, activity, samples, [], stopped or {})}


def test_a_few_steps_that_differ_say_nothing_of_a_device() -> None:
    activity = {name: steps((0, 10), (20, 30)) for name in "abc"}
    activity["d"] = steps((0, 20), (20, 30))
    activity["e"] = steps((0, 15), (20, 35))
    rows = rows_of(activity, dict.fromkeys(activity, 100))
    assert rows["d"]["alike_error"] == rows["e"]["alike_error"] == 0.5
    assert [rows[name]["alike_verdict"] for name in "abcde"] == ["within"] * 3 + ["undetermined", "out"]


def test_equal_devices_must_agree() -> None:
    activity = {name: steps((0, 10)) for name in "abc"} | {"d": steps((0, 15))}
    rows = rows_of(activity, dict.fromkeys("abcd", 100))
    assert [rows[name]["verdict"] for name in "abcd"] == ["within", "within", "within", "out"]
    assert rows["d"]["alike_error"] == 0.5 and "+50% time for a sample against 4 equal devices" in rows["d"]["reason"]
    # With other amounts of data there is nobody to compare with.
    assert rows_of(activity, {"a": 100, "b": 200, "c": 300, "d": 400})["d"]["alike_devices"] is None


def test_what_an_event_froze_does_not_count() -> None:
    activity = {"a": [*steps((0, 10)), *steps((10, 50), cpus=0.1)]}
    assert rows_of(activity, {})["a"]["verdict"] == "out"
    frozen = [{"what": "freeze", "devices": "a b", "began_at": 15.0, "ended_at": 40.0}]
    assert rows_of(activity, {}, stopped_devices(frozen, 0.0))["a"]["steps"] == 1
    assert stopped_devices([{**frozen[0], "ended_at": None}], 5.0)["b"] == [(20.0, math.inf)]
    assert stopped_devices([{**frozen[0], "what": "offline"}], 0.0) == {}


def test_a_step_that_was_timed_before_the_course_is_judged(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", rounds=1)
    path = folder / "inventory" / "device_files" / "local.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    timed = {"raspberry-pi-3": 20.5, "iot-minimal-4": 30.0, "smartphone-low-2": -1}
    for device in content["devices"]:
        if device["name"] in timed:
            device["compute"] = {"reference": "numpy-mlp", "seconds": 1.0, "parts": 100}
    path.write_text(json.dumps(content), encoding="utf-8")  # the cpu factor is 0.05
    for name, seconds in timed.items():
        path = folder / "collected" / name / "exit.json"
        end = {"reference_step_seconds": seconds, "reference_timed_seconds": 2.2}
        path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **end}), encoding="utf-8")
    report = write_report(folder)
    rows = {row["device"]: row for row in report["compute"]}
    good, bad = rows["raspberry-pi-3"], rows["iot-minimal-4"]
    assert (good["reference_asked_seconds"], good["reference_seconds"], good["verdict"]) == (20.0, 20.5, "within")
    assert (bad["reference_error"], bad["verdict"]) == (0.5, "out")
    assert "30 s for 20 s of a step of numpy-mlp" in bad["reason"] and "calibration" in bad["reason"]
    assert rows["smartphone-low-2"]["reference_seconds"] is None


def test_a_limit_that_was_corrected_is_the_one_that_counts() -> None:
    activity = {"a": steps((0, 10), cpus=0.6), "b": steps((0, 10))}
    devices = {name: {"type": "pi", "engine": "light", "lab_host": "h", "cpus": 0.5} for name in activity}
    placed = {name: {"cpus": 0.5, "threads": 1} for name in activity}
    corrected = LimitCorrected("a", 0.25, 0.3)  # at half the devices' speed by the lab host's clock
    course = CourseState().apply_all([corrected])
    rows = build_compute(devices, placed, activity, {}, [], {}, corrected=course.corrected_cpus, factor=0.5)
    a, b = rows
    assert (a["cpus_asked"], a["limit_corrected_by"], a["time_verdict"]) == (0.6, 0.2, "within")
    assert (b["cpus_asked"], b["limit_corrected_by"], b["time_verdict"]) == (0.5, None, "within")


def test_short_steps_are_judged_beside_the_course() -> None:
    activity = {"a": steps(*((at, at + 0.01) for at in range(5)), cpus=1.0)}
    (row,) = rows_of(activity, {}, course_seconds=10.0).values()
    assert (row["time_error"], row["time_error_of_course"]) == (-0.5, -0.005)
    assert (row["verdict"], row["reason"]) == ("within", None)
    line = "compute during the course: 1 of 1 devices as requested"
    assert describe_compute([row]) == f"{line}; worst: a, its short steps together off by -0.5% of the course's time"
    (row,) = rows_of(activity, {}, course_seconds=1.0).values()
    assert (row["verdict"], row["reason"]) == ("undetermined", "its steps are too short to tell")
