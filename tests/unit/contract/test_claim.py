"""Claims: one process at a time works on a run of a lab host, and nobody waits for one that is gone."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.contract import atomic, claim
from fedsim_runner.contract.claim import Control, RunBusyError, own_control, parse_control, read_claim, release_claim
from fedsim_runner.contract.errors import Exit
from fedsim_runner.contract.paths import StateFolder

MINE = own_control("a test")
GONE = replace(MINE, process=f"{os.getpid()}:1", user="ann", program="fedsim-provision")
PARENT = replace(MINE, process=f"{os.getppid()}:{claim.start_time(os.getppid())}", user="bob")
# Another machine, or another pid namespace of this one: its process cannot be looked up.
FAR = replace(MINE, machine="another", host="desk", user="cat")

TAKER = """\
import sys, time
from dataclasses import replace
from pathlib import Path
from fedsim_runner.contract import claim
from fedsim_runner.contract.paths import StateFolder
state, won = StateFolder(Path(sys.argv[1]) / "x"), 0
end = time.monotonic() + 1.5
while time.monotonic() < end:
    try:
        claim.take_claim(state, claim.own_control("taker"), make=True)
        mark = state.path / "mark"
        mark.touch(exist_ok=False)
        won += 1
        mark.unlink()
        claim.release_claim(state)
    except claim.RunBusyError:
        pass
print(won)
"""


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "root" / "x")


def take(state: StateFolder, control: Control, **how: Any) -> None:
    claim.take_claim(state, control, **{"make": True, **how})


def holder(state: StateFolder) -> Control | None:
    found = read_claim(state)
    return None if found is None else found.control


def test_a_run_is_claimed_by_one_living_process(state: StateFolder) -> None:
    take(state, PARENT)
    with pytest.raises(RunBusyError) as busy:
        take(state, MINE)
    pid = os.getppid()
    assert str(busy.value).startswith(
        f"run x is being worked on by process {pid} of user bob on {MINE.host} (a test): "
    )
    assert busy.value.exit is Exit.SPEC
    with pytest.raises(RunBusyError):
        take(state, MINE, check=True)
    with pytest.raises(RunBusyError):
        take(state, MINE, make=False)
    assert holder(state) == PARENT
    take(state, PARENT)


def test_the_claim_of_a_process_that_is_gone_does_not_count(state: StateFolder) -> None:
    take(state, GONE)
    take(state, MINE, check=True)
    assert holder(state) == GONE
    take(state, MINE)
    assert holder(state) == MINE


def test_a_process_of_another_machine_counts_for_two_minutes_after_its_last_call(
    state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    take(state, FAR)
    now[0] += 100
    take(state, FAR)  # says again that it is alive
    now[0] += 100
    with pytest.raises(RunBusyError, match=r"of user cat on desk .*; if it was killed, the run is free in 20 s$"):
        take(state, MINE)
    now[0] += 21
    take(state, MINE)
    with pytest.raises(RunBusyError):
        take(state, FAR)


def test_whoever_is_on_the_other_machine_knows_whether_that_process_has_ended(state: StateFolder) -> None:
    take(state, FAR)
    with pytest.raises(RunBusyError) as busy:
        take(state, replace(MINE, gone=FAR.process))  # but on another machine
    assert busy.value.control == FAR
    next_to_it = replace(FAR, process="7:7", gone=FAR.process)
    take(state, next_to_it)
    assert holder(state) == next_to_it


def test_without_a_state_folder_nothing_is_made_unless_asked_for(state: StateFolder) -> None:
    take(state, MINE, make=False)
    take(state, MINE, check=True)
    assert not state.path.parent.exists()
    take(state, MINE)
    assert [path.name for path in state.path.iterdir()] == ["claim.json"]
    take(state, MINE, make=False)
    release_claim(state)
    assert not state.path.exists()
    assert state.path.parent.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"seen": 1}', '{"control": {}, "seen": 1}', '{"control": 1}'])
def test_a_damaged_claim_is_nobodys(content: str, state: StateFolder) -> None:
    state.path.mkdir(parents=True)
    state.claim.write_text(content, encoding="utf-8")
    take(state, MINE)
    assert holder(state) == MINE


def test_on_a_full_disk_a_claim_changes_hands(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    take(state, GONE)
    monkeypatch.setattr(atomic, "write", no_space)
    take(state, MINE)
    assert holder(state) == MINE
    state.claim.unlink()
    with pytest.raises(OSError, match="No space left"):
        take(state, MINE)


def test_a_control_is_texts() -> None:
    assert parse_control(json.loads(json.dumps(asdict(MINE)))) == MINE
    for wrong in ({}, {**asdict(MINE), "user": 1}, {**asdict(MINE), "more": ""}):
        with pytest.raises(ValueError, match="control: "):
            parse_control(wrong)


def test_the_owner_of_a_folder_that_goes_keeps_others_out_until_it_is_gone(state: StateFolder) -> None:
    take(state, MINE)
    (state.path / "left").touch()
    with pytest.raises(OSError, match="not empty"):
        release_claim(state)


@pytest.mark.process
def test_of_many_takers_one_at_a_time_has_the_claim(state: StateFolder) -> None:
    state.path.parent.mkdir(parents=True)
    arguments = [sys.executable, "-c", TAKER, str(state.path.parent)]
    takers = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    counts = [int(taker.communicate(timeout=60)[0] or -1) for taker in takers]
    assert [taker.returncode for taker in takers] == [0, 0, 0, 0]
    assert sum(counts) > 4


@pytest.mark.process
def test_a_worker_of_ansible_works_for_the_command_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(claim.CONTROL_VARIABLE, raising=False)
    plain = claim.control_of_worker()
    assert (plain.process, plain.program) == (PARENT.process, "ansible-playbook")
    monkeypatch.setenv(claim.CONTROL_VARIABLE, MINE.process)
    assert claim.control_of_worker().is_same(MINE)


def test_names_under_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim.os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "ann")
    assert own_control("").user == "ann"
    monkeypatch.setattr(claim.os, "geteuid", lambda: 4_000_000)
    assert own_control("").user == "4000000"
