"""The life cycle of a run, on a testbed that only records calls."""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fedsim_runner.console.standard_stream import StandardStream
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.runs.lifecycle import provision, run_experiment
from fedsim_runner.runs.options import RunOptions
from fedsim_runner.runs.registry import Registry
from fedsim_runner.testbed.values import Listener, Order
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


class Broken(FakeTestbed):
    """Raises ``error`` when everything is up; ``also_destroying``: once more while it is removed."""

    def __init__(self, error: Exception, also_destroying: bool = False) -> None:
        super().__init__()
        self._error = error
        self._also_destroying = also_destroying

    def provision(self, order: Order, listener: Listener) -> int:
        super().provision(order, listener)
        raise self._error

    def destroy(self, run: str, folder: Path | None, listener: Listener) -> Sequence[str]:
        if self._also_destroying:
            raise self._error
        return super().destroy(run, folder, listener)


@pytest.mark.parametrize("act", [run_experiment, provision])
@pytest.mark.parametrize(
    ("keep", "also_destroying", "calls", "become"),
    [
        (False, False, ["provision", "destroy"], "the testbed was torn down"),
        (True, False, ["provision"], "the testbed was left as it is; remove it: fedsim-provision down mine"),
        (False, True, ["provision"], "the teardown failed, too ('bug'); finish it with: fedsim-provision down mine"),
    ],
)
def test_an_error_of_our_own_ends_in_a_teardown_and_says_so(
    act: Any, keep: bool, also_destroying: bool, calls: list[str], become: str, console: Console
) -> None:
    testbed = Broken(KeyError("bug"), also_destroying)
    with pytest.raises(KeyError) as caught:
        act(experiment(), RunOptions("mine", Path("runs"), keep=keep), console, testbed)
    assert testbed.calls == calls
    assert caught.value.__notes__ == [become]
    entry = Registry().find("mine")
    assert entry is not None
    assert entry.state == "failed"


def test_an_error_of_our_own_leaves_what_an_earlier_up_made(console: Console) -> None:
    first = FakeTestbed()
    options = RunOptions("mine", Path("runs"))
    assert provision(experiment(), options, console, first) == 0
    again = Broken(KeyError("bug"))
    again.there = first.there
    with pytest.raises(KeyError):
        provision(experiment(), options, console, again)
    assert again.calls == ["provision"]


@pytest.mark.parametrize(("act", "code"), [(run_experiment, Exit.COURSE), (provision, Exit.PROVISIONING)])
@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EROFS, "Read-only file system", "runs/mine/x")],
    ids=["full", "read-only"],
)
def test_a_run_folder_that_cannot_be_written_is_named(act: Any, code: Exit, error: OSError, console: Console) -> None:
    testbed = Broken(error)
    with pytest.raises(FedsimError, match=r"runs/mine.*: the testbed was torn down") as caught:
        act(experiment(), RunOptions("mine", Path("runs")), console, testbed)
    assert caught.value.exit is code
    assert testbed.calls == ["provision", "destroy"]


def test_another_error_of_the_system_is_a_bug(console: Console) -> None:
    with pytest.raises(ConnectionResetError):
        run_experiment(experiment(), RunOptions("mine", Path("runs")), console, Broken(ConnectionResetError()))


class WithoutReader(FakeTestbed):
    """Closes the reading end of the output when everything is up."""

    def __init__(self, reader: int) -> None:
        super().__init__()
        self._reader = reader

    def provision(self, order: Order, listener: Listener) -> int:
        changed = super().provision(order, listener)
        os.close(self._reader)
        return changed


@pytest.mark.parametrize("keep", [False, True])
def test_an_up_that_could_not_say_so_is_taken_back(keep: bool, console: Console) -> None:
    reader, writer = os.pipe()
    testbed = WithoutReader(reader)
    mute = Console(file=StandardStream(writer, "standard output", "utf-8", False))
    assert provision(experiment(), RunOptions("mine", Path("runs"), keep=keep), mute, testbed) == Exit.INTERRUPTED
    assert testbed.calls == (["provision"] if keep else ["provision", "destroy"])
    os.close(writer)


def test_a_run_goes_on_where_it_cannot_be_registered(
    console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert provision(experiment(), RunOptions("mine", Path("runs")), console, FakeTestbed()) == 0
    assert printed(console).count("XDG_STATE_HOME names another folder") == 1
    assert f"{tmp_path}/file/fedsim" in printed(console)
