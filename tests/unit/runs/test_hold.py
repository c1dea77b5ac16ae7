"""Whose a run is on this machine: one holder at a time, whatever happens to it, and nothing is written before."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from fedsim_runner.contract.claim import RunBusyError
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.contract.names import RunNameError
from fedsim_runner.runs import hold as hold_module
from fedsim_runner.runs import lookup
from fedsim_runner.runs.hold import hold, is_held, who_holds
from fedsim_runner.runs.lifecycle import provision, run_experiment
from fedsim_runner.runs.options import RunOptions
from fedsim_runner.runs.removal import remove_all, remove_run
from fedsim_runner.runs.reservation import reserve_run
from fedsim_runner.runs.run_status import status_of
from fedsim_runner.testbed.values import Failure, Stopped, UnreachableError
from tests.builders import experiment
from tests.fake_testbed import FakeTestbed

# Holders are other processes, and manifests name the checkout's commit.
pytestmark = pytest.mark.process

HOLDER = """\
import sys
from fedsim_runner.runs import hold
hold.PREFIX = sys.argv[1]
with hold.hold(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.readline()
"""
# Takes the run again and again, and notes when it has it: two notes must never overlap.
TAKER = """\
import os, sys, time
from fedsim_runner.contract.claim import RunBusyError
from fedsim_runner.runs import hold
hold.PREFIX = sys.argv[1]
had, end = 0, time.monotonic() + 1.5
while time.monotonic() < end:
    try:
        with hold.hold("x"):
            mark = os.open(sys.argv[2], os.O_CREAT | os.O_EXCL)
            had += 1
            os.unlink(sys.argv[2])
            os.close(mark)
    except RunBusyError:
        pass
print(had)
"""


@contextmanager
def held_elsewhere(run: str) -> Iterator[subprocess.Popen[str]]:
    """Another process, of another home, holds the run."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, hold_module.PREFIX, run],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "HOME": "/nonexistent", "XDG_STATE_HOME": "/nonexistent"},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Console:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def testbed(monkeypatch: pytest.MonkeyPatch) -> FakeTestbed:
    made = FakeTestbed()
    monkeypatch.setattr(lookup, "find_testbed", lambda name=None: made)
    monkeypatch.setattr(lookup, "all_testbeds", lambda: [made])
    return made


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_held_run_names_its_holder_and_is_free_once_that_is_killed() -> None:
    with held_elsewhere("x") as holder:
        assert is_held("x")
        assert not is_held("x-y")
        with pytest.raises(RunBusyError) as busy, hold("x"):
            pass
        assert f"run x is being worked on by process {holder.pid} of user " in str(busy.value)
        assert "(-c 'import sys?" in str(busy.value)
        assert busy.value.exit is Exit.SPEC
        with hold("x-y"):
            assert who_holds("x-y") is not None
        holder.kill()
        holder.wait()
        assert not is_held("x")
        with hold("x"):
            pass


def test_of_many_takers_one_at_a_time_has_the_run(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", TAKER, hold_module.PREFIX, str(tmp_path / "mark")]
    takers = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    counts = [int(taker.communicate(timeout=60)[0] or -1) for taker in takers]
    assert [taker.returncode for taker in takers] == [0, 0, 0, 0]
    assert sum(counts) > 4


@pytest.mark.parametrize("verb", [provision, run_experiment])
def test_a_second_command_beside_a_live_run_writes_nothing(verb: object, console: Console) -> None:
    options = RunOptions("x", Path("runs"))
    assert provision(experiment(), options, console, FakeTestbed()) == 0
    before = files(Path("runs"))
    with held_elsewhere("x"), pytest.raises(RunBusyError, match="run x is being worked on by process"):
        verb(experiment(), options, console, FakeTestbed())  # type: ignore[operator]
    assert files(Path("runs")) == before


def test_nor_beside_a_run_that_its_testbed_knows_to_be_live(console: Console, testbed: FakeTestbed) -> None:
    testbed.workers["x"] = "process 7 of user ann on desk (ansible-playbook)"
    testbed.there["x"] = ["server"]
    with pytest.raises(RunBusyError, match="user ann on desk"):
        provision(experiment(), RunOptions("x", Path("runs")), console, testbed)
    with pytest.raises(RunBusyError, match="user ann on desk"):
        remove_run("x", console)
    assert not Path("runs").exists()
    assert testbed.calls == []
    assert status_of("x")["control_node"] is True


def test_down_says_once_which_lab_host_it_cannot_reach(
    console: Console, testbed: FakeTestbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise UnreachableError("lab host two: it does not answer")

    def fail(run: str, *_: object) -> None:
        testbed.calls.append("destroy")
        raise Stopped("preflight", Failure("preflight", None, "two", "no route"))

    monkeypatch.setattr(testbed, "destroy", fail)
    assert remove_run("x", console) is Exit.LAB
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "error: teardown on two: no route" in said and testbed.calls == ["destroy", "destroy"]
    monkeypatch.setattr(testbed, "list", away)
    assert remove_run("x", console) is Exit.LAB
    said = console.file.getvalue().removeprefix(said)  # type: ignore[attr-defined]
    assert said.splitlines() == ["error: lab host two: it does not answer"] and testbed.calls == ["destroy"] * 3


def test_down_all_leaves_live_runs_alone_and_says_whose_they_are(console: Console, testbed: FakeTestbed) -> None:
    testbed.there = {"x": ["server"], "y": ["server"]}
    with held_elsewhere("x") as holder:
        assert remove_all(console) == 0
        assert testbed.there == {"x": ["server"]}
        assert isinstance(console.file, io.StringIO)
        assert f"skipped: run x is being worked on by process {holder.pid}" in console.file.getvalue()
        assert status_of("x")["control_node"] is True
    assert remove_all(console) == 0
    assert testbed.there == {}


def test_a_run_that_another_home_is_provisioning_is_running(console: Console, testbed: FakeTestbed) -> None:
    """Neither the registry nor the testbed knows of it yet."""
    with hold("x"):
        assert (status_of("x")["state"], status_of("x")["control_node"]) == ("running", True)
    with pytest.raises(FedsimError, match="no run x is known"):
        status_of("x")


def test_two_runs_in_the_same_second_get_two_names_also_in_two_folders(tmp_path: Path) -> None:
    with ExitStack() as stack:
        found = [
            stack.enter_context(reserve_run(RunOptions(runs_dir=tmp_path / folder), "study", 0.0, FakeTestbed()))
            for folder in ("here", "here", "there")
        ]
    assert [one.run for one in found] == [f"study-19700101t000000z{suffix}" for suffix in ("", "-2", "-3")]
    assert [one.folder.parent.name for one in found] == ["here", "here", "there"]
    with reserve_run(RunOptions(runs_dir=tmp_path / "here"), "study", 0.0, FakeTestbed()) as later:
        assert later.run == "study-19700101t000000z-3"


def test_a_chosen_name_may_be_used_again_until_it_has_results(tmp_path: Path) -> None:
    options = RunOptions("mine", tmp_path)
    report = tmp_path / "mine" / "report.json"
    for is_new in (True, False):
        with reserve_run(options, "study", 0.0, FakeTestbed()) as reserved:
            assert (reserved.run, reserved.folder, reserved.is_new) == ("mine", tmp_path / "mine", is_new)
    report.write_text(json.dumps({"status": "running"}), encoding="utf-8")
    with reserve_run(options, "study", 0.0, FakeTestbed()):
        pass
    report.write_text(json.dumps({"status": "finished"}), encoding="utf-8")
    with pytest.raises(RunNameError, match="choose another --run"), reserve_run(options, "study", 0.0, FakeTestbed()):
        pass
    assert not is_held("mine")


def test_a_run_again_forgets_what_was_fetched_of_the_killed_one(console: Console) -> None:
    """Else a report of a run that fails early would tell of the other one's rounds."""
    options = RunOptions("x", Path("runs"))
    assert provision(experiment(), options, console, FakeTestbed()) == 0
    folder = Path("runs/x")
    for name in ("journal.jsonl", "metrics.csv", "collected/pi/exit.json", "so-far/report.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("old", encoding="utf-8")
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    assert provision(experiment(), options, console, FakeTestbed()) == 0
    assert not {"journal.jsonl", "metrics.csv", "collected", "so-far"} & {path.name for path in folder.iterdir()}
    assert (folder / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_a_folder_that_is_no_run_folder_keeps_its_files(console: Console) -> None:
    Path("runs/x").mkdir(parents=True)
    Path("runs/x/metrics.csv").write_text("mine", encoding="utf-8")
    assert provision(experiment(), RunOptions("x", Path("runs")), console, FakeTestbed()) == 0
    assert Path("runs/x/metrics.csv").read_text(encoding="utf-8") == "mine"


def test_a_file_in_the_place_of_the_run_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with (
        pytest.raises(FedsimError, match="x is not a folder") as refused,
        reserve_run(RunOptions("x", tmp_path), "study", 0.0, FakeTestbed()),
    ):
        pass
    assert refused.value.exit is Exit.SPEC
