"""What a report says about energy."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.results import write_report
from fedsim_runner.results.page import try_publish
from fedsim_runner.results.tables.energy import COLUMNS, read_models
from tests.unit.results.synthetic import MODEL_BYTES, write_run

PI = "raspberry-pi-3"
FIGURES = {
    "idle_watts": 2.0,
    "active_watts": 6.0,
    "joules_per_megabyte_up": 1000.0,
    "joules_per_megabyte_down": 500.0,
    "source": "a meter",
}


def run_with(folder: Path, energy: Any = None) -> tuple[Path, dict[str, Any]]:
    """A run of which one device has power figures."""
    write_run(folder, rounds=3)
    path = folder / "inventory" / "device_files" / "local.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for device in content["devices"]:
        if device["name"] == PI and energy is not None:
            device["energy"] = energy
    path.write_text(json.dumps(content), encoding="utf-8")
    return folder, write_report(folder)


def test_a_device_with_figures_has_joules_by_what_they_were_for(tmp_path: Path) -> None:
    folder, report = run_with(tmp_path / "r", FIGURES)
    (row,) = report["energy"]
    device = report["devices"][PI]
    assert (row["device"], row["seconds"], row["source"]) == (PI, device["course_seconds"], "a meter")
    assert row["active_seconds"] == pytest.approx(sum(one["compute_seconds"] for one in rows_of(report)), abs=0.01)
    assert row["idle_joules"] == pytest.approx(2.0 * row["seconds"])
    assert row["active_joules"] == pytest.approx(4.0 * row["active_seconds"], abs=0.001)
    assert row["radio_joules"] == pytest.approx((1000 * device["bytes_up"] + 500 * device["bytes_down"]) / 1e6)
    assert row["joules"] == device["joules"]
    with (folder / "energy.csv").open(encoding="utf-8", newline="") as stream:
        assert tuple(next(csv.reader(stream))) == COLUMNS


def rows_of(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in report["device_rounds"] if row["device"] == PI]


def test_each_round_has_its_joules(tmp_path: Path) -> None:
    _, report = run_with(tmp_path / "r", FIGURES)
    parts = ("download", "handling", "compute", "upload", "waiting")
    for row, entry in zip(rows_of(report), report["rounds"], strict=True):
        seconds = sum(row[f"{part}_seconds"] for part in parts)
        radio = MODEL_BYTES * (1000 + 500) / 1e6
        assert row["joules"] == pytest.approx(2.0 * seconds + 4.0 * row["compute_seconds"] + radio, abs=0.001)
        assert entry["joules"] == row["joules"]  # no other device has figures
    assert {row["joules"] for row in report["device_rounds"] if row["device"] != PI} == {None}


@pytest.mark.drawing
def test_the_page_calls_it_a_model_with_its_source(tmp_path: Path) -> None:
    folder, report = run_with(tmp_path / "r", FIGURES)
    assert try_publish(folder, report) is None
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "Energy: a model" in text and "a meter" in text


@pytest.mark.drawing
def test_without_figures_nothing_is_said(tmp_path: Path) -> None:
    folder, report = run_with(tmp_path / "r")
    assert report["energy"] == [] and {entry["joules"] for entry in report["rounds"]} == {None}
    assert try_publish(folder, report) is None
    assert "Energy: a model" not in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("damaged", [5, {}, {"idle_watts": "much"}, {**FIGURES, "source": None}])
def test_damaged_figures_are_none(damaged: Any) -> None:
    assert read_models({PI: {"energy": damaged}}) == {}
