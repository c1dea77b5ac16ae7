"""Runs of fedsim-runner 0.1.0 still work here: they are reported, repeated and removed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.cli.entry import call
from fedsim_runner.contract.errors import Exit
from fedsim_runner.runs.planning import make_plan_or_refuse
from fedsim_runner.runs.registry import Registry
from fedsim_runner.runs.repetition.rerun import open_original
from tests.builders import lab_host
from tests.federatedscope import runnable_checkout
from tests.unit.conftest import Driver

RUNS = Path(__file__).resolve().parents[2] / "data" / "runs-0.1.0"
ALL = ("light", "mends", "killed")


def read(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a user whose registry does not contain these runs."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def copy(run: str, home: Path) -> Path:
    return Path(shutil.copytree(RUNS / run, home / run))


@pytest.mark.drawing
@pytest.mark.parametrize("run", ALL)
def test_its_report_is_written_again_with_the_same_figures(run: str, home: Path) -> None:
    folder = copy(run, home)
    before = read(folder / "report.json")
    assert call(["report", str(folder)]) == Exit.DONE
    after = read(folder / "report.json")
    for key in ("run", "status", "reason", "final", "lost_clients", "labels"):
        assert after[key] == before[key], key
    # A round has more figures today.
    assert [{name: now[name] for name in old} for now, old in zip(after["rounds"], before["rounds"], strict=True)] == (
        before["rounds"]
    )
    assert (folder / "report.html").stat().st_size > 0


@pytest.mark.course
def test_it_is_repeated_without_docker(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copy("light", home)
    assert call(["rerun", str(folder), "--no-docker", "--run", "again"]) == Exit.DONE, capsys.readouterr()
    again = read(home / "runs" / "again" / "manifest.json")
    assert (again["mode"], again["repeats"]) == ("processes", read(folder / "manifest.json")["run"])
    assert again["repetition"]["rounds"]["compared"] == len(read(folder / "report.json")["rounds"])


@pytest.mark.federatedscope
def test_one_with_patches_switched_off_is_planned_again(home: Path) -> None:
    source = str(runnable_checkout())
    original = open_original(str(copy("mends", home)))
    plan = make_plan_or_refuse(replace(original.experiment, federatedscope_source=source), [lab_host()], "again")
    before = read(RUNS / "mends" / "plan.json")
    assert [item.device.name for item in plan.placed] == [device["name"] for device in before["devices"]]
    assert plan.experiment.patches_off == ("log_addresses",)


@pytest.mark.parametrize(
    ("file", "version", "message"),
    [
        ("manifest.json", 9, "manifest.json has version 9, from fedsim-runner 0.1.0"),
        ("inputs/experiment.json", 9, "experiment.json has version 9"),
    ],
)
def test_an_unknown_version_is_named(
    file: str, version: int, message: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy("light", home)
    changed = json.dumps({**read(folder / file), "version": version})
    (folder / file).write_text(changed, encoding="utf-8")
    if file != "manifest.json":  # as a program of that version would write it
        manifest = {**read(folder / "manifest.json"), "inputs_sha256": None}
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert call(["rerun", str(folder)]) == Exit.SPEC
    assert message in capsys.readouterr().err


def entry(run: str, folder: Path, lab_host: str) -> str:
    """An entry as 0.1.0 wrote it into the registry of runs."""
    return json.dumps(
        {
            "run": run,
            "folder": str(folder),
            "lab_host": lab_host,
            "subnet": "198.18.85.0/24",
            "control": "1:1",
            "state": "running",
        }
    )


@pytest.mark.parametrize(
    ("lab_host", "testbed", "lab_hosts"), [("local", "docker", ("local",)), ("processes", "processes", ())]
)
def test_its_entries_are_read(lab_host: str, testbed: str, lab_hosts: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(entry("old", tmp_path, lab_host), encoding="utf-8")
    found = Registry(tmp_path).find("old")
    assert found is not None
    assert (found.testbed, found.lab_hosts, found.state) == (testbed, lab_hosts, "running")


@pytest.mark.ansible
@pytest.mark.parametrize("lab_host", ["local", "processes"])
def test_it_is_removed(lab_host: str, driver: Driver) -> None:
    folder = copy("killed", driver.root)
    run = read(folder / "manifest.json")["run"]
    registry = driver.root / "state" / "fedsim" / "runs"
    registry.mkdir(parents=True)
    (registry / f"{run}.json").write_text(entry(run, folder, lab_host), encoding="utf-8")
    on_lab_host = lab_host == "local"
    if on_lab_host:
        (driver.root / "left-0").write_text(run, encoding="utf-8")
    assert driver.run("down", run) == 0, driver.output
    assert f"run {run}: nothing is left" in driver.output
    assert driver.has("torn-down") is on_lab_host
    assert not driver.has("left-0")
    assert not (registry / f"{run}.json").exists()
