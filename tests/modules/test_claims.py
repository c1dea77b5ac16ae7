"""Modules change nothing of a run that another process works on, and say whose it is."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.fedsim.testbed.plugins.module_utils._module import Module
from ansible_collections.fedsim.testbed.plugins.plugin_utils._worker_action import WorkerAction

from fedsim_runner.contract.claim import Control, own_control, read_claim, take_claim
from fedsim_runner.contract.paths import StateFolder
from fedsim_runner.contract.process_identity import start_time

from .conftest import Lab, call_module, load_module

MINE = own_control("ansible-playbook")
HERS = replace(MINE, process=f"{os.getppid()}:{start_time(os.getppid())}", user="ann", program="fedsim-provision")
REFUSAL = f"run {{}} is being worked on by process {os.getppid()} of user ann on {MINE.host} (fedsim-provision)"
#: The modules that change something of a run on a lab host, and what each of them is called with.
CHANGING: dict[str, dict[str, Any]] = {
    "fedsim_state": {"archive": "/nowhere.tar"},
    "fedsim_network": {},
    "fedsim_agent": {},
    "fedsim_devices": {},
    "fedsim_course": {"action": "start"},
    "fedsim_teardown": {},
}


def control(of: Control) -> dict[str, Any]:
    return {"control": asdict(of)}


def test_the_list_is_complete() -> None:
    """fedsim_links asks the agent, and only for what the device file in the state folder says; the rest only reads."""
    library = Path(str(load_module("fedsim_state").__file__)).parent
    found = {path.stem for path in library.glob("fedsim_*.py") if "control" in load_module(path.stem).ARGUMENTS}
    assert found == {*CHANGING, "fedsim_lab_host", "fedsim_collect", "fedsim_reservation"}


@pytest.mark.parametrize("check", [True, False])
def test_a_state_folder_of_somebody_else_is_not_filled(check: bool, tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "x")
    take_claim(state, HERS, make=True)
    arguments = {"run": "x", "state_dir": str(state.path), "archive": "/nowhere.tar", **control(MINE)}
    answer = call_module("fedsim_state", arguments, check=check, expect_failure=True)
    assert answer.msg.startswith(REFUSAL.format("x"))
    assert answer["fedsim_exit_code"] == 2
    assert [path.name for path in state.path.iterdir()] == ["claim.json"]


def test_a_wrong_control_is_named(tmp_path: Path) -> None:
    arguments = {"run": "x", "state_dir": str(tmp_path / "x"), "archive": "/nowhere.tar", "control": {"user": "me"}}
    answer = call_module("fedsim_state", arguments, expect_failure=True)
    assert "control: it has the texts process, machine, host, user, program, gone, and nothing else" in answer.msg


class Caller(WorkerAction):
    """An action plugin for a lab host elsewhere, on which a process of this machine has claimed the run."""

    def __init__(self, claimed: Control, module: Module) -> None:
        self.claimed, self.module, self.calls = claimed, module, list[str]()
        self._task = SimpleNamespace(args={"run": "x"})

    def _run_module(self, tmp: str | None, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        gone = self._task.args.get("control", {}).get("gone", "")
        self.calls.append(gone)
        return {"changed": True} if gone else {"failed": True, "fedsim_claimed_by": asdict(self.claimed)}


def test_the_control_node_tells_a_lab_host_elsewhere_which_process_has_ended() -> None:
    module = load_module("fedsim_teardown").MODULE
    ended = replace(MINE, process="1:1")
    caller = Caller(ended, module)
    assert caller.run() == {"changed": True}
    assert caller.calls == ["", "1:1"]
    for alive in (HERS, replace(ended, machine="another")):
        assert Caller(alive, module).run()["failed"]
    without = Caller(ended, load_module("fedsim_verdict").MODULE)
    without.run()
    assert without._task.args == {"run": "x"}


@pytest.mark.docker
def test_of_a_run_that_somebody_else_works_on_no_module_changes_anything(up: Lab) -> None:
    take_claim(StateFolder(up.state_dir), HERS, make=True)
    before = up.names()
    for name, options in CHANGING.items():
        for check in (True, False):
            answer = up.call(name, check=check, expect_failure=True, **options, **control(MINE))
            assert answer.msg.startswith(REFUSAL.format(up.run)), name
    root = {"state_root": str(up.root), "run": up.run}
    answer = call_module("fedsim_lab_host", {**root, **control(MINE)}, expect_failure=True)
    assert answer.msg.startswith(REFUSAL.format(up.run))
    assert not call_module("fedsim_lab_host", {"state_root": str(up.root), **control(MINE)}).changed
    assert up.names() == before
    assert up.container("pi-1").status == "running"
    assert not up.call("fedsim_devices", **control(HERS)).changed
    # What is collected beside her goes elsewhere.
    dest = up.state_dir / "collected.tar"
    packed = Path(up.call("fedsim_collect", dest=str(dest), **control(MINE))["dest"])
    assert packed.parent.parent == Path("/var/tmp")
    shutil.rmtree(packed.parent)
    assert not dest.exists()
    assert up.call("fedsim_collect", dest=str(dest), **control(HERS))["dest"] == str(dest)
    # She has gone.
    StateFolder(up.state_dir).claim.unlink()
    take_claim(StateFolder(up.state_dir), replace(HERS, process="1:1"), make=True)
    assert up.call("fedsim_teardown", **control(MINE)).changed
    assert not up.state_dir.exists()


@pytest.mark.docker
def test_a_fit_lab_host_is_claimed_before_the_run_writes_anything(tmp_path: Path) -> None:
    root, state = {"state_root": str(tmp_path), "run": "x"}, StateFolder(tmp_path / "x")
    call_module("fedsim_lab_host", {**root, **control(MINE)}, check=True)
    assert not state.path.exists()
    for _ in range(2):
        assert not call_module("fedsim_lab_host", {**root, **control(MINE)}).changed
        claim = read_claim(state)
        assert claim is not None
        assert claim.control == MINE


@pytest.mark.docker
def test_a_course_that_is_running_is_never_joined(up: Lab) -> None:
    """It is that of a control node that was killed: a living one has claimed the run."""
    up.call("fedsim_course", action="start")
    checked = up.call("fedsim_agent", check=True)
    answer = up.call("fedsim_agent")
    assert answer["diff"] == checked["diff"]
    assert answer["removed_devices"] == ["pi-1", "pi-2", "server"]
    assert not (up.state_dir / "gate" / "open").exists()
    assert up.call("fedsim_devices").changed
    assert not up.call("fedsim_agent").changed
