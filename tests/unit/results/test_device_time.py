"""A dilated run has the tables and figures of the same course in real time."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fedsim_runner.contract.events import (
    AgentStarted,
    Event,
    EventBegun,
    GateOpened,
    LinkCounted,
    LinkMeasured,
    RoundStarted,
)
from fedsim_runner.contract.time_scale import TimeScale
from fedsim_runner.results import write_report
from fedsim_runner.results.comparison.groups import compare_runs
from fedsim_runner.results.comparison.page import publish_comparison, render_comparison
from fedsim_runner.results.device_time import MOMENTS, RATES, SPANS, DeviceTime, convert_device
from fedsim_runner.results.figures.resource_usage import read_usage
from fedsim_runner.results.figures.throughput import read_throughput
from fedsim_runner.results.page import try_publish
from fedsim_runner.results.summary import render_summary
from tests.unit.results.dilated import dilate
from tests.unit.results.synthetic import BEGAN, write_run

GATE = BEGAN - 6
WALL_KEYS = {"wall_seconds", "wall_elapsed_seconds", "wall_duration_s", "time", "time_factor"}
# What has a unit of time and is that of lab hosts, or of the time before the course.
OF_THE_LAB = {
    "LoadingStarted.limit_s",
    "ClockMeasured.offset_s",
    "ClockMeasured.bound_s",
    "GateMeasured.skew_s",
    "GateMeasured.bound_s",
    "PacketsTimed.latest_us",
    "LabHostReached.one_way_us",
}


def add_events(folder: Path) -> None:
    """An event, measured and counted links, as the journal of a run in real time has them."""
    link = {"device": "raspberry-pi-3", "direction": "up"}
    measured = {"delay_asked_us": 30000, "delay_us": 30400, "jitter_asked_us": 1000, "jitter_us": 1200}
    happened = [
        {"t": GATE - 1, "event": "link_measured", **link, **measured, "rate_asked_bps": 16_000_000,
         "rate_bps": 15_900_000, "loss_asked": 0.0, "loss": 0.0, "sent": 100, "lost": 0, "verdict": "within"},
        {"t": BEGAN + 2.01, "event": "event_begun", "number": 1, "devices": ["raspberry-pi-3"], "what": "partition",
         "due": BEGAN + 2, "late_s": 0.01},
        {"t": BEGAN + 3.02, "event": "event_ended", "number": 1, "devices": ["raspberry-pi-3"], "what": "partition",
         "due": BEGAN + 3, "late_s": 0.02},
        {"t": BEGAN + 20, "event": "link_counted", **link, "packets": 90, "lost": 0, "overflowed": 0, "bytes": 70000,
         "rate_asked_bps": 16_000_000, "rate_bps": 16_000_000, "rate_verdict": "within", "loss_verdict": "within"},
    ]  # fmt: skip
    with (folder / "journal.jsonl").open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(one) + "\n" for one in happened)


def both(root: Path, factor: float) -> tuple[Path, Path]:
    """The folder of a run in real time, and of the same at a factor."""
    folders = root / "real" / "run", root / "dilated" / "run"
    for folder in folders:
        add_events(write_run(folder, late=True, lost=True))
    return folders[0], dilate(folders[1], factor, GATE)


def alike(one: Any, other: Any) -> Any:
    """The second without what it alone has, to be compared with the first to the last digit that both have."""
    if isinstance(one, dict) and isinstance(other, dict):
        assert other.keys() - WALL_KEYS == one.keys()
        return {key: alike(one[key], other[key]) for key in one}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [alike(*pair) for pair in zip(one, other, strict=True)]
    if isinstance(one, int | float) and isinstance(other, int | float) and not isinstance(one, bool):
        return one if abs(other - one) < max(2e-3, 1e-6 * one) else other
    return other


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_a_dilated_run_has_the_tables_of_the_same_in_real_time(tmp_path: Path, factor: float) -> None:
    real, dilated = (write_report(folder) for folder in both(tmp_path, factor))
    assert (dilated["time"], dilated["time_factor"]) == ("dilated", factor)
    assert dilated["wall_duration_s"] == pytest.approx(real["duration_s"] / factor, abs=0.01)
    assert all(row["wall_seconds"] == pytest.approx(row["seconds"] / factor, abs=0.01) for row in dilated["rounds"])
    assert dilated["targets"][-1]["wall_elapsed_seconds"] > 0
    assert not WALL_KEYS & {*real, *real["rounds"][0], *real["targets"][0]}
    assert real["events"][0]["late_seconds"] == pytest.approx(dilated["events"][0]["late_seconds"])
    assert alike(real, dilated) == real


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_figures_have_the_same_values(tmp_path: Path, factor: float) -> None:
    folders = both(tmp_path, factor)
    real, dilated = (read_usage(folder, write_report(folder)) for folder in folders)
    assert real.keys() == dilated.keys()
    for name, one in real.items():
        for mine, theirs in zip(one.cores(), dilated[name].cores(), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-3)
    reports = [write_report(folder) for folder in folders]
    first, second = (read_throughput(*pair) for pair in zip(folders, reports, strict=True))
    assert first is not None
    assert second is not None
    for name, device in first.devices.items():
        for way, rates in device.rates.items():
            passed = [(rate * np.diff(found.edges)).sum() for rate, found in
                      ((rates, first), (second.devices[name].rates[way], second))]  # fmt: skip
            assert passed[0] == pytest.approx(passed[1])


def test_what_devices_computed_is_set_against_their_limits_in_device_time(tmp_path: Path) -> None:
    folders = both(tmp_path, 0.25)
    for path in (path for folder in folders for path in folder.rglob("activity.jsonl")):
        steps = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        steps = [step | ({"cpu": 0.1} if step["what"] == "trained" else {}) for step in steps]  # in either time
        path.write_text("".join(json.dumps(step) + "\n" for step in steps), encoding="utf-8")
    columns = ("device", "cpus_asked", "cpus", "time_error", "computing_seconds", "computing_cpu_seconds")
    real, dilated = (
        [{key: row[key] for key in columns} for row in write_report(folder)["compute"]] for folder in folders
    )
    assert len(real) == 5
    assert all(row["cpus"] for row in real[1:])
    assert alike(real, dilated) == real


def test_the_csv_files_have_wall_time_in_columns_of_their_own(tmp_path: Path) -> None:
    for folder in (folders := both(tmp_path, 0.25)):
        write_report(folder)
    columns = [
        {name: next(csv.reader((folder / name).open(encoding="utf-8"))) for name in ("rounds.csv", "targets.csv")}
        for folder in folders
    ]
    assert columns[1]["rounds.csv"][1:5] == ["seconds", "elapsed_seconds", "wall_seconds", "wall_elapsed_seconds"]
    assert [name for name in columns[1]["rounds.csv"] if name not in WALL_KEYS] == columns[0]["rounds.csv"]
    assert columns[1]["targets.csv"] == [*columns[0]["targets.csv"], "wall_elapsed_seconds"]


def test_lab_hosts_stay_in_wall_time(tmp_path: Path) -> None:
    _, folder = both(tmp_path, 0.25)
    lines = ["t,cpus,load,running,busy_seconds,steal_seconds"]
    lines += [f"{GATE + second},2,1.0,2,{second},0" for second in range(0, 100)]
    (folder / "host.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    report = write_report(folder)
    (host,) = report["hosts"]
    assert host["seconds"] == pytest.approx(report["wall_duration_s"], abs=2)
    assert host["busy_share"] == 0.5


@pytest.mark.drawing
def test_page_and_summary_say_whose_time_it_is(tmp_path: Path) -> None:
    real, dilated = both(tmp_path, 0.25)
    pages = []
    for folder in (real, dilated):
        report = write_report(folder)
        assert try_publish(folder, report) is None
        console = Console(width=100, record=True, file=(tmp_path / "out").open("w", encoding="utf-8"))
        console.print(render_summary(report, folder))
        pages.append((folder / "report.html").read_text(encoding="utf-8") + console.export_text())
    assert "device time" not in pages[0]
    assert "wall time" not in pages[0]
    assert "Time is dilated by the factor 0.25: a second of the devices' time took 4.00 s in the lab" in pages[1]
    assert "of device time (" in pages[1]
    assert "wall time" in pages[1]


@pytest.mark.drawing
def test_runs_at_several_factors_are_compared_in_device_time(tmp_path: Path) -> None:
    real, dilated = both(tmp_path, 0.25)
    for folder, cpus in ((real, 1.0), (dilated, 0.25)):
        path = folder / "inventory" / "device_files" / "local.json"
        path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "cpu_factor": cpus}))
    compared = compare_runs([real, dilated], grouping="run")
    assert compared["time_factors"] == [0.25, 1.0]
    (note,) = [note for note in compared["notes"] if "factor" in note]
    assert "which can be compared" in note
    seconds = [run["mean_round_seconds"] for run in compared["runs"]]
    assert seconds[0] == pytest.approx(seconds[1], rel=1e-3)
    page = publish_comparison(compared, tmp_path / "compared")
    assert "wall<br>time" in page.read_text(encoding="utf-8")
    header = (tmp_path / "compared" / "comparison.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header.endswith("time_factor,wall_duration_s")
    assert render_comparison(compared, page) is not None


def test_devices_of_another_speed_in_their_time_cannot_be_compared(tmp_path: Path) -> None:
    compared = compare_runs(both(tmp_path, 0.25), grouping="run")  # both have the same cpu factor
    assert any("devices compute at different speeds" in note for note in compared["notes"])


@given(
    factor=st.floats(0.001, 100),
    gate=st.floats(1e9, 2e9),
    after=st.floats(-1000, 1e6),
)
def test_wall_time_and_device_time_are_each_others_inverse(factor: float, gate: float, after: float) -> None:
    clock = DeviceTime(TimeScale(factor), gate)
    moment = gate + after
    assert clock.wall(clock.at(moment)) == pytest.approx(moment, abs=1e-2)
    assert clock.at(moment) == moment if moment <= gate else clock.at(moment) >= gate


def test_before_the_gate_opens_times_are_wall_time() -> None:
    events = [AgentStarted(time_factor=0.5, t=5.0), GateOpened(t=10.0), RoundStarted(round=1, t=14.0)]
    clock = DeviceTime.of(events)
    assert [clock.convert(event).t for event in events] == [5.0, 10.0, 12.0]
    assert DeviceTime.of(events[:1]).at(1000.0) == 1000.0


def test_a_gate_that_is_announced_opens_later() -> None:
    clock = DeviceTime.of([AgentStarted(time_factor=0.5, t=5.0), GateOpened(open_at=12.0, t=10.0)])
    assert [clock.at(moment) for moment in (11.0, 12.0, 16.0)] == [11.0, 12.0, 14.0]


def test_values_too_large_are_unknown() -> None:
    clock = DeviceTime(TimeScale(1e-6), 0.0)
    assert clock.convert(LinkCounted(rate_bps=int(1e308), t=1.0)).rate_bps is None  # type: ignore[attr-defined]
    link = {"up": {"rate_bps": 10**400, "delay_us": 5, "loss": 0.5}, "down": None}
    found = convert_device({"cpus": "x", "link": link}, TimeScale(0.5))
    assert found == {"cpus": "x", "link": {"up": {"rate_bps": None, "delay_us": 2, "loss": 0.5}, "down": None}}


def test_reasons_stay_as_agents_gave_them() -> None:
    clock = DeviceTime(TimeScale(0.5))
    out = LinkMeasured(verdict="out", delay_us=10_000, reason="delay 5.0 ms, not 2 ms in device time")
    found = clock.convert(out)
    assert (found.delay_us, found.reason) == (5_000, out.reason)  # type: ignore[attr-defined]
    late = clock.convert(EventBegun(late_s=0.5, due=3.0, t=3.5))
    assert (late.late_s, late.due, late.t) == (0.25, 3.0, 3.5)  # type: ignore[attr-defined]


def test_every_field_of_an_event_with_a_unit_of_time_is_converted_or_the_labs() -> None:
    converted = {
        f"{kind.__name__}.{name}" for table in (SPANS, RATES) for kind, names in table.items() for name in names
    }
    found = {
        f"{kind.__name__}.{one.name}"
        for kind in Event.known.values()
        for one in dataclasses.fields(kind)
        if one.name.endswith(("_s", "_us", "_bps"))
    }
    assert converted <= found
    assert found - converted == OF_THE_LAB
    moments = {kind.__name__ for kind in Event.known.values() for one in dataclasses.fields(kind) if one.name == "due"}
    assert moments | {"GateOpened"} == {kind.__name__ for kind in MOMENTS}
