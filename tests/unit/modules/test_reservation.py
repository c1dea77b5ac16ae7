"""Plain ansible-playbook: a plan of some time ago does not get a GPU that another run has by now."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.claim import own_control, read_claim
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import StateFolder
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.process_identity import start_time
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.reservation import (
    Reservation,
    read_reservations,
    reserve,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import EngineError
from ansible_collections.fedsim.testbed.plugins.modules import fedsim_reservation

MINE = own_control("ansible-playbook")
HERS = replace(MINE, process=f"{os.getppid()}:{start_time(os.getppid())}", user="ann")
AGENTS = {"up": {"user": "ann", "gpu_ids": ["1"]}, "over": {"user": "ann", "gpu_ids": []}}


class Engine:
    """An Engine with the agents of ``AGENTS``, and one that has just ended."""

    def containers(self, filters: dict[str, str]) -> list[dict[str, Any]]:
        return [{"Labels": {fedsim_reservation.LABEL_RUN: run}} for run in (*AGENTS, "ended", "mine")]

    def close(self) -> None:
        pass


def call_agent(client: Engine, agent: str, call: object) -> dict[str, Any]:
    for run, answer in AGENTS.items():
        if agent == fedsim_reservation.agent_name(run):
            return answer
    raise EngineError(f"{agent} has ended")


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fedsim_reservation, "connect", lambda docker_host: Engine())
    monkeypatch.setattr(fedsim_reservation, "call_agent", call_agent)


def ask(root: Path, check: bool = False, **options: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        **{"run": "mine", "state": "present", "cpus": 1.0, "memory_bytes": 5, "gpu_ids": [], "known": None},
        **{"state_root": str(root), "control": asdict(MINE), "docker_host": "unix:///nowhere", "folder_id": ""},
    }
    return fedsim_reservation.MODULE.answer(
        {**defaults, **options}, check=check, diff=False, warn=print, make_folder=lambda: ""
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    hers = Reservation("hers", cpus=2.0, gpu_ids=("0",))
    assert reserve(StateFolder(tmp_path / "hers"), HERS, hers, lambda _: True) == []
    return tmp_path


@pytest.mark.parametrize(("gpu", "holder"), [("0", "run hers of user ann"), ("1", "run up of user ann")])
def test_a_gpu_of_another_run_is_refused_with_whose_it_is(root: Path, gpu: str, holder: str) -> None:
    answer = ask(root, gpu_ids=[gpu, "2"])
    assert answer["msg"].startswith(f"{holder} has a GPU that this plan gives to devices of run mine: wait for it")
    assert answer["fedsim_exit_code"] == 3
    assert [one.run for one in read_reservations(root)] == ["hers"]
    assert read_claim(StateFolder(root / "mine")) is None


def test_processors_may_be_shared_and_other_gpus_are_free(root: Path) -> None:
    assert ask(root, check=True, gpu_ids=["2"]) == {"changed": False, "unknown": []}
    assert ask(root, gpu_ids=["2"]) == {"changed": True, "unknown": []}
    mine = read_reservations(root)[1]
    assert (mine.run, mine.cpus, mine.memory_bytes, mine.gpu_ids) == ("mine", 1.0, 5, ("2",))
    assert not ask(root, gpu_ids=["2"])["changed"]
    assert ask(root, gpu_ids=["2"], cpus=2.0)["changed"]
    assert ask(root, state="absent")["changed"]
    assert not ask(root, state="absent")["changed"]


def test_a_plan_that_was_just_made_says_which_reservations_it_knows(root: Path) -> None:
    assert ask(root, known=[]) == {"changed": False, "unknown": ["run hers of user ann"]}
    (hers,) = read_reservations(root)
    assert ask(root, known=[hers.token])["changed"]
