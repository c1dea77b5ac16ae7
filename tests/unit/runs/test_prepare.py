"""Run folders from experiments, and the addresses of a run that is up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.runs import prepare
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.runs.prepare import RunOptions, check_privileges, plan_only, prepare_run, root_command
from tests.builders import experiment, lab_host


@pytest.fixture(autouse=True)
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A lab whose networks and own subnet a test sets."""
    state: dict[str, Any] = {"networks": (), "own": None}

    class Engine:
        def subnet(self, run: str) -> str | None:
            return state["own"]

    @contextmanager
    def engine() -> Iterator[Engine]:
        yield Engine()

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(prepare, "local_lab_host", lambda name: lab_host(name, networks=state["networks"]))
    monkeypatch.setattr(prepare, "lab_engine", engine)
    return state


def test_two_runs_that_are_planned_get_two_subnets(tmp_path: Path) -> None:
    options = RunOptions(runs_dir=tmp_path / "runs")
    first, second = (prepare_run(experiment(), options, 0.0) for _ in range(2))
    assert first.run != second.run
    assert first.plan.subnet != second.plan.subnet
    assert not first.existed
    for name in ("experiment.yaml", "plan.json", "inventory/hosts.yml", "inventory/device_files/local.json"):
        assert (first.folder / name).exists()
    prepare.reservations().release(first.run)
    assert prepare.reservations().networks() == (second.plan.subnet,)


def test_a_run_that_is_up_keeps_its_subnet(lab: dict[str, Any], tmp_path: Path) -> None:
    lab["networks"] = ("10.0.0.0/8", "198.18.3.0/24")
    lab["own"] = "198.18.3.0/24"
    prepared = prepare_run(experiment(), RunOptions(run="mine", runs_dir=tmp_path), 0.0)
    assert prepared.plan.subnet == "198.18.3.0/24"
    assert prepared.existed


def test_a_plan_touches_nothing(tmp_path: Path) -> None:
    assert plan_only(experiment()).run == "study"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FedsimError, match="is no run name"):
        plan_only(experiment(), "No")


def test_an_experiment_that_does_not_fit_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "local_lab_host", lambda name: lab_host(name, cpus=0.01))
    with pytest.raises(FedsimError) as refused:
        prepare_run(experiment(), RunOptions(runs_dir=tmp_path / "runs"), 0.0)
    assert refused.value.exit is Exit.LAB
    assert list((tmp_path / "runs").iterdir()) == []


def test_without_root_and_sudo_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(prepare.shutil, "which", lambda name: None)
    with pytest.raises(FedsimError, match="with sudo") as refused:
        check_privileges()
    assert refused.value.exit is Exit.LAB


def test_root_needs_no_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare.os, "geteuid", lambda: 0)
    assert root_command(["probe"]) == ["probe"]
