"""The states of all runs, while some of them end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fedsim_runner.lab.inventory_error import LabInventoryError
from fedsim_runner.runs import run_status
from fedsim_runner.runs.labs import NO_OPTIONS
from fedsim_runner.testbed.values import UnreachableError
from tests.fake_testbed import FakeTestbed


def test_a_run_that_ends_while_all_are_listed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def status_of(run: str, lab: Any) -> dict[str, Any]:
        if run == "gone":
            raise run_status.UnknownRunError(f"no run {run}")
        return {"run": run}

    monkeypatch.setattr(run_status, "status_of", status_of)
    found = run_status.status_of_all({"first": NO_OPTIONS, "gone": NO_OPTIONS, "last": NO_OPTIONS})
    assert [answer["run"] for answer in found] == ["first", "last"]


def test_a_run_whose_lab_inventory_is_gone_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def status_of(run: str, lab: Any) -> dict[str, Any]:
        if run == "far":
            raise LabInventoryError("/lab: there is no such lab inventory")
        return {"run": run}

    monkeypatch.setattr(run_status, "status_of", status_of)
    far, near = run_status.status_of_all({"far": NO_OPTIONS, "near": NO_OPTIONS})
    assert (far["run"], far["state"], far["reason"]) == ("far", "unknown", "/lab: there is no such lab inventory")
    assert near == {"run": "near"}


@pytest.mark.parametrize(("state", "reason"), [("up", "two is away"), ("finished", None)])
def test_why_no_lab_host_answers_is_said_unless_the_run_is_over(
    state: str, reason: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away(FakeTestbed):
        def status(self, run: str) -> Mapping[str, Any] | None:
            raise UnreachableError("two is away")

        def list(self) -> Mapping[str, Sequence[str]]:
            raise UnreachableError("two is away")

    entry = SimpleNamespace(state=state)
    monkeypatch.setattr(run_status, "find_run", lambda run, folder: SimpleNamespace(folder=tmp_path, entry=entry))
    monkeypatch.setattr(run_status, "testbed_of", lambda known, lab: Away())
    answer = run_status.status_of("study")
    assert (answer["state"], answer["reason"]) == (state, reason)


DEVICES = {"done": "finished", "died": "exited", "gone": "lost", "there": "started", "away": "offline"}


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize(("was", "now"), [("running", "removed"), ("failed", "failed"), ("finished", "finished")])
def test_what_is_no_longer_on_the_testbed_is_removed(
    was: str, now: str, silent: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Empty(FakeTestbed):
        def list(self) -> Mapping[str, Sequence[str]]:
            if silent:  # the run may have something there
                raise UnreachableError("two is away")
            return super().list()

    devices = {name: {"state": state} for name, state in DEVICES.items()}
    (tmp_path / "report.json").write_text(json.dumps({"status": was, "devices": devices}))
    monkeypatch.setattr(run_status, "find_run", lambda run, folder: SimpleNamespace(folder=tmp_path, entry=None))
    monkeypatch.setattr(run_status, "testbed_of", lambda known, lab: Empty())
    answer = run_status.status_of("study")
    shown = {name: device["state"] for name, device in answer["devices"].items()}
    if silent:
        assert (answer["state"], shown) == (was, DEVICES)
    else:
        assert (answer["state"], shown) == (now, {**DEVICES, "there": "removed", "away": "removed"})


def test_a_run_that_another_control_node_has_removed_is_not_shown_as_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = SimpleNamespace(state="up")
    monkeypatch.setattr(run_status, "find_run", lambda run, folder: SimpleNamespace(folder=tmp_path, entry=entry))
    monkeypatch.setattr(run_status, "testbed_of", lambda known, lab: FakeTestbed())
    assert run_status.status_of("study")["state"] == "removed"
