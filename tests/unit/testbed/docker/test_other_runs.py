"""What other runs hold of a lab host, as their agents say, or as they have reserved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fedsim_runner.contract.reservation import Reservation
from fedsim_runner.lab.host import Standing, Taken
from fedsim_runner.testbed.docker.docker_engine import AgentSilentError
from fedsim_runner.testbed.docker.other_runs import beside_others, taken_by_others
from tests.builders import lab_host
from tests.fake_engine import FakeEngine

FIRST = {"user": "ada", "cpus": 1.5, "memory_bytes": 7, "gpu_ids": ["0"]}
SECOND = {"user": "bob", "cpus": 0.5, "memory_bytes": 3, "gpu_ids": ["1"]}


def test_each_other_run_says_what_it_holds() -> None:
    engine = FakeEngine(answers={"first": FIRST, "second": SECOND})
    assert taken_by_others(engine, None) == (  # type: ignore[arg-type]
        Taken("first", "ada", 1.5, 7, ("0",)),
        Taken("second", "bob", 0.5, 3, ("1",)),
    )


def test_of_runs_that_came_later_only_gpus_count() -> None:
    engine = FakeEngine(answers={"first": FIRST, "own": {}, "second": SECOND})
    assert taken_by_others(engine, "own") == (  # type: ignore[arg-type]
        Taken("first", "ada", 1.5, 7, ("0",)),
        Taken("second", "bob", gpu_ids=("1",)),
    )


def test_a_run_that_has_no_agent_yet_holds_what_it_has_reserved() -> None:
    engine = FakeEngine(answers={"first": FIRST})
    reserved = Reservation("next", "cat", 1.0, 2.0, 5, ("2",))
    old = replace(reserved, run="first")
    dead, settled = replace(reserved, run="dead", live=False), replace(reserved, run="settled", pending=False)
    everybody = (old, reserved, dead, settled)
    first, following = Taken("first", "ada", 1.5, 7, ("0",)), Taken("next", "cat", 2.0, 5, ("2",))
    assert taken_by_others(engine, None, everybody) == (first, following)  # type: ignore[arg-type]
    assert taken_by_others(engine, "next", everybody) == (first,)  # type: ignore[arg-type]
    # It comes later than a run that is up.
    engine.answers["own"] = {}
    later = replace(following, cpus=0.0, memory_bytes=0)
    assert taken_by_others(engine, "own", everybody) == (first, later)  # type: ignore[arg-type]


def test_runs_that_hold_nothing_and_agents_that_do_not_know_the_call_or_are_silent_are_left_out() -> None:
    class Engine(FakeEngine):
        def ask_agent(self, run: str, call: Any) -> dict[str, Any] | None:
            if run == "silent":
                raise AgentSilentError("no answer")
            return super().ask_agent(run, call)

    over = {"user": "ada", "cpus": 0.0, "memory_bytes": 0, "gpu_ids": []}
    engine = Engine(answers={"over": over, "older": {"error": "no command"}, "silent": FIRST})
    assert taken_by_others(engine, "own") == ()  # type: ignore[arg-type]


def test_a_run_that_is_up_says_what_it_has_itself() -> None:
    devices = {"pi-1": {"cpus": 0.5, "gpu_ids": ["0"]}, "pi-2": {"cpus": None, "gpu_ids": []}}
    engine = FakeEngine(answers={"own": {**FIRST, "cpu_factor": 0.5, "devices": devices}, "older": FIRST})
    has = Standing(0.5, {"pi-1": 0.5, "pi-2": None}, {"pi-1": ("0",), "pi-2": ()})
    assert beside_others(lab_host(), engine, "own").standing == has  # type: ignore[arg-type]
    for run in (None, "older", "not-up"):
        assert beside_others(lab_host(), engine, run).standing is None  # type: ignore[arg-type]
