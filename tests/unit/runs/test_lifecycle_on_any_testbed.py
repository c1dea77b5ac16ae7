"""The life cycle of a run, on a testbed that only records calls."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from fedsim_runner.runs.lifecycle import provision, run_experiment
from fedsim_runner.runs.options import RunOptions
from fedsim_runner.runs.registry import Registry
from tests.builders import experiment
from tests.fake_testbed import LACK, FakeTestbed

# Reports draw, and manifests name the checkout's commit.
pytestmark = [pytest.mark.drawing, pytest.mark.process]

STEPS = ["provision", "follow"]


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Console:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return Console(file=io.StringIO(), width=200)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("testbed", "keep", "code", "status", "calls"),
    [
        (FakeTestbed(), False, 0, "failed", STEPS),
        (FakeTestbed(), True, 0, "failed", STEPS),
        (FakeTestbed(fails_in="preflight"), False, 3, "failed", ["provision"]),
        (FakeTestbed(fails_in="devices"), False, 4, "failed", ["provision", "collect", "destroy"]),
        (FakeTestbed(fails_in="devices"), True, 4, "failed", ["provision", "collect"]),
        (FakeTestbed(fails_in="course"), False, 5, "failed", [*STEPS, "collect", "destroy"]),
        (FakeTestbed(fails_in="verdict"), False, 5, "failed", STEPS),
        (FakeTestbed(interrupted_in="preflight"), False, 130, "interrupted", ["provision"]),
        (
            FakeTestbed(interrupted_in="course"),
            False,
            130,
            "interrupted",
            ["provision", "follow", "collect", "destroy"],
        ),
        (FakeTestbed(fails_in="devices", stays=["x"]), False, 4, "failed", ["provision", "collect"] + ["destroy"] * 2),
    ],
)
def test_every_end(
    testbed: FakeTestbed, keep: bool, code: int, status: str, calls: list[str], console: Console
) -> None:
    options = RunOptions("mine", Path("runs"), keep=keep)
    found, report = run_experiment(experiment(), options, console, testbed)
    assert (found, testbed.calls) == (code, calls), printed(console)
    # A course without a journal counts as failed.
    assert report["status"] == status
    assert ("still there: x" in printed(console)) is (testbed.calls.count("destroy") > 1)
    entry = Registry().find("mine")
    assert entry is not None
    assert (entry.testbed, entry.lab_hosts, entry.state) == ("fake", ("one", "two"), status)


def test_plan_and_report_repeat_what_the_testbed_lacks(console: Console) -> None:
    _, report = run_experiment(experiment(), RunOptions("mine", Path("runs")), console, FakeTestbed())
    assert f"plan of run mine: 4 thoughts; {LACK.what}" in printed(console)
    assert LACK.hint in printed(console)
    assert LACK.what in report["notes"]
    manifest = json.loads(Path("runs/mine/manifest.json").read_text(encoding="utf-8"))
    assert (manifest["mode"], manifest["lacks"], manifest["fake"]) == ("fake", [LACK.what], "ended")


def test_a_testbed_that_is_up_stays_when_a_second_up_fails(console: Console) -> None:
    testbed = FakeTestbed()
    options = RunOptions("mine", Path("runs"))
    assert provision(experiment(), options, console, testbed) == 0
    assert "the testbed of run mine is up (changed=4)" in printed(console)
    again = FakeTestbed(fails_in="devices")
    again.there = testbed.there
    assert provision(experiment(), options, console, again) == 4
    assert again.calls == ["provision"]
    assert "the testbed was left as it is; remove it" in printed(console)
    assert "error: stage devices failed on two: it is broken" in printed(console)


def test_a_new_testbed_is_removed_when_it_is_half_made(console: Console) -> None:
    testbed = FakeTestbed(fails_in="devices")
    assert provision(experiment(), RunOptions("mine", Path("runs")), console, testbed) == 4
    assert testbed.calls == ["provision", "destroy"]
