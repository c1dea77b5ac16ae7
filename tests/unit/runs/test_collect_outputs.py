"""Collecting beside others: a run that another process works on, one that has ended, one of another home."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fedsim_runner.contract.claim import RunBusyError
from fedsim_runner.runs import lookup
from fedsim_runner.runs.collect_outputs import collect_run
from fedsim_runner.runs.hold import hold
from fedsim_runner.runs.lifecycle import provision
from fedsim_runner.runs.options import RunOptions
from fedsim_runner.testbed.values import Listener, UnreachableError
from tests.builders import experiment
from tests.fake_testbed import FakeTestbed

# Reports draw, and manifests name the checkout's commit.
pytestmark = [pytest.mark.drawing, pytest.mark.process]


class GoingOn(FakeTestbed):
    """A course that goes on."""

    state = "running"

    def collect(self, run: str, folder: Path | None, into: Path, listener: Listener) -> Sequence[str]:
        missing = super().collect(run, folder, into, listener)
        (into / "journal.jsonl").write_text('{"t": 1.0, "event": "gate_opened", "open_at": 1.0}\n', encoding="utf-8")
        return missing

    def status(self, run: str) -> Mapping[str, Any] | None:
        return {"state": self.state, "devices": {}} if self.there.get(run) else None


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Console:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def testbed(console: Console, monkeypatch: pytest.MonkeyPatch) -> GoingOn:
    """With run x up."""
    made = GoingOn()
    monkeypatch.setattr(lookup, "find_testbed", lambda name=None: made)
    assert provision(experiment(), RunOptions("x", Path("runs")), console, made) == 0
    return made


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("who", ["this machine", "the lab host"])
def test_the_folder_of_a_run_that_another_process_works_on_stays_as_it_is(
    who: str, testbed: GoingOn, console: Console, tmp_path: Path
) -> None:
    before = files(tmp_path / "runs")
    if who == "the lab host":
        testbed.workers["x"] = "process 7 of user ann on desk (ansible-playbook)"
        report, folder = collect_run("x", console)
    else:
        with hold("x"):
            report, folder = collect_run("x", console)
            with hold("x/so-far"), pytest.raises(RunBusyError):
                collect_run("x", console)
    assert folder == tmp_path / "runs" / "x" / "so-far"
    assert report["status"] == "running"
    assert {"journal.jsonl", "report.json", "report.html"} <= {path.name for path in folder.iterdir()}
    now = files(tmp_path / "runs")
    assert {name: content for name, content in now.items() if not name.startswith("x/so-far/")} == before


@pytest.mark.parametrize("state", ["provisioned", "loading", "running"])
def test_a_run_that_nobody_works_on_is_collected_into_its_folder(
    state: str, testbed: GoingOn, console: Console, tmp_path: Path
) -> None:
    testbed.state = state
    report, folder = collect_run("x", console)
    assert (report["status"], folder) == ("running", tmp_path / "runs" / "x")


def test_lab_hosts_that_could_not_be_reached_are_an_error_and_the_rest_is_kept(
    testbed: GoingOn, console: Console, tmp_path: Path
) -> None:
    testbed.out_of_reach = ["two"]
    with pytest.raises(UnreachableError, match="two could not be reached") as refused:
        collect_run("x", console)
    assert refused.value.exit == 3
    assert (tmp_path / "runs" / "x" / "report.json").exists()


@pytest.mark.parametrize(("status", "reason"), [("interrupted", "interrupted in stage course"), ("failed", "it broke")])
def test_a_final_report_never_says_running(
    status: str, reason: str, testbed: GoingOn, console: Console, tmp_path: Path
) -> None:
    """The devices of a run that was interrupted with --keep go on."""
    path = tmp_path / "runs" / "x" / "report.json"
    path.write_text(json.dumps({"status": status, "reason": reason}), encoding="utf-8")
    report, _ = collect_run("x", console)
    assert (report["status"], report["reason"]) == (status, reason)
    assert json.loads(path.read_text(encoding="utf-8"))["status"] == status


def test_another_place_is_not_disturbed(testbed: GoingOn, console: Console, tmp_path: Path) -> None:
    with hold("x"):
        _, folder = collect_run("x", console, tmp_path / "elsewhere")
    assert folder == tmp_path / "elsewhere"
    assert not (tmp_path / "runs" / "x" / "so-far").exists()
