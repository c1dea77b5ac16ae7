"""Reservations: of two runs that are planned in the same moment only one gets what both were given."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fedsim_runner.contract.claim import Control, RunBusyError, own_control, read_claim, take_claim
from fedsim_runner.contract.paths import StateFolder
from fedsim_runner.contract.process_identity import start_time
from fedsim_runner.contract.reservation import (
    Reservation,
    RunOfAnotherError,
    give_back,
    hand_over,
    read_reservations,
    reserve,
)

MINE = own_control("a test")
PARENT = replace(MINE, process=f"{os.getppid()}:{start_time(os.getppid())}", user="bob")
GONE = replace(MINE, process="1:1")
FAR = replace(MINE, machine="another", host="desk", user="cat")
WANTED = Reservation("a", cpus=1.5, memory_bytes=7, gpu_ids=("0",))

RACER = """\
import sys, time
from pathlib import Path
from fedsim_runner.contract.claim import own_control
from fedsim_runner.contract.paths import StateFolder
from fedsim_runner.contract.reservation import Reservation, read_reservations, reserve
root, run = Path(sys.argv[1]), sys.argv[2]
while True:
    seen = read_reservations(root)
    known = {one.token for one in seen}
    free = sorted({"0", "1", "2", "3"} - {gpu for one in seen for gpu in one.gpu_ids})
    wanted = Reservation(run, gpu_ids=tuple(free[:1]))
    if not reserve(StateFolder(root / run), own_control("racer"), wanted, lambda other: other.token not in known):
        break
print(free[0], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def of(root: Path, run: str) -> StateFolder:
    return StateFolder(root / run)


@pytest.mark.parametrize("hers", [replace(GONE, user="bob"), replace(GONE, host="desk")], ids=["user", "machine"])
def test_a_new_run_does_not_take_over_one_of_the_same_name_that_somebody_else_has(root: Path, hers: Control) -> None:
    assert reserve(of(root, "a"), hers, replace(WANTED, folder_id="1"), lambda other: True) == []
    before = of(root, "a").reservation.read_text()
    with pytest.raises(RunOfAnotherError, match=rf"a run a already, of user {hers.user} on {hers.host}: choose"):
        reserve(of(root, "a"), MINE, replace(WANTED, folder_id="2"), lambda other: True)
    assert of(root, "a").reservation.read_text() == before
    claim = read_claim(of(root, "a"))
    assert claim is not None and claim.control == hers
    # Who has a copy of the run's folder, or its inventory, carries it on, and the next one who has.
    for owner, folder_id in ((replace(GONE, user="eve"), "1"), (replace(GONE, user="fay"), ""), (MINE, "1")):
        assert reserve(of(root, "a"), owner, replace(WANTED, folder_id=folder_id), lambda other: True) == []


def test_that_somebody_else_has_the_name_is_said_before_who_came_first(root: Path) -> None:
    reserve(of(root, "a"), FAR, replace(WANTED, folder_id="1"), lambda other: True)
    reserve(of(root, "b"), PARENT, replace(WANTED, run="b"), lambda other: False)
    with pytest.raises(RunOfAnotherError):
        reserve(of(root, "a"), MINE, replace(WANTED, folder_id="2"), lambda other: True)
    # Nor does whoever was refused on another lab host give back here what is not its own.
    give_back(of(root, "a"), MINE)
    assert [one.run for one in read_reservations(root)] == ["a", "b"]


def test_who_has_lost_the_folder_of_a_run_may_begin_it_again(root: Path) -> None:
    for owner, folder_id in ((GONE, "1"), (MINE, "2")):
        assert reserve(of(root, "a"), owner, replace(WANTED, folder_id=folder_id), lambda other: True) == []


def test_a_plan_that_does_not_know_another_reservation_is_refused(root: Path) -> None:
    assert reserve(of(root, "a"), PARENT, WANTED, lambda other: True) == []
    (seen,) = read_reservations(root)
    assert (seen.run, seen.user, seen.cpus, seen.gpu_ids, seen.counts) == ("a", "bob", 1.5, ("0",), True)
    second = replace(WANTED, run="b")
    refusing = reserve(of(root, "b"), MINE, second, lambda other: True)
    assert list(map(str, refusing)) == ["run a of user bob"]
    assert not of(root, "b").path.exists()
    known = {seen.token}
    assert reserve(of(root, "b"), MINE, second, lambda other: other.token not in known) == []
    assert [one.run for one in read_reservations(root)] == ["a", "b"]


def test_a_reservation_that_was_made_anew_is_another_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve(of(root, "a"), PARENT, WANTED, lambda other: True)
    known = {one.token for one in read_reservations(root)}
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1)
    reserve(of(root, "a"), PARENT, replace(WANTED, cpus=3.0), lambda other: True)
    assert reserve(of(root, "b"), MINE, replace(WANTED, run="b"), lambda other: other.token not in known)


def test_it_counts_until_the_agent_answers_for_it(root: Path) -> None:
    reserve(of(root, "a"), MINE, WANTED, lambda other: True)
    hand_over(of(root, "a"))
    (seen,) = read_reservations(root)
    assert not seen.counts
    # Plans of before know nothing of it, though it has an agent by now.
    assert reserve(of(root, "b"), MINE, replace(WANTED, run="b"), lambda other: True)
    hand_over(of(root, "b"))  # there is none


def test_it_counts_while_whoever_provisions_the_run_is_alive(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve(of(root, "a"), GONE, WANTED, lambda other: True)
    reserve(of(root, "far"), FAR, WANTED, lambda other: False)
    assert [one.counts for one in read_reservations(root)] == [False, True]
    now = time.time()
    for later, counts in ((1000, True), (2000, False)):
        monkeypatch.setattr(time, "time", lambda later=later: now + later)
        assert read_reservations(root)[1].counts is counts


def test_the_run_is_claimed_with_it(root: Path) -> None:
    reserve(of(root, "a"), PARENT, WANTED, lambda other: True)
    claim = read_claim(of(root, "a"))
    assert claim is not None
    assert claim.control == PARENT
    with pytest.raises(RunBusyError):
        reserve(of(root, "a"), MINE, WANTED, lambda other: True)


def test_what_is_given_back_leaves_what_else_there_is(root: Path) -> None:
    reserve(of(root, "a"), MINE, WANTED, lambda other: True)
    give_back(of(root, "a"), MINE)
    assert not of(root, "a").path.exists()
    give_back(of(root, "a"), MINE)
    reserve(of(root, "a"), MINE, WANTED, lambda other: True)
    of(root, "a").device_file.touch()
    give_back(of(root, "a"), MINE)
    assert read_claim(of(root, "a")) is not None
    assert read_reservations(root) == []


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"run": 1}', '{"run": "a", "more": 1}'])
def test_a_damaged_reservation_is_none(content: str, root: Path) -> None:
    take_claim(of(root, "a"), MINE, make=True)
    of(root, "a").reservation.write_text(content, encoding="utf-8")
    (root / "slowdowns.json").touch()
    assert read_reservations(root) == []


@pytest.mark.process
def test_of_many_plans_in_the_same_moment_none_gets_the_gpu_of_another(root: Path) -> None:
    root.mkdir()
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(root), f"r{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    given = [racer.stdout.readline().strip() for racer in racers if racer.stdout]
    for racer in racers:
        racer.communicate(timeout=60)
    assert sorted(given) == ["0", "1", "2", "3"]
