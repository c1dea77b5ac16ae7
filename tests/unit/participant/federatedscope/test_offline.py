"""Clients of FederatedScope that go offline and come back: real processes, to which the file of the gate says so."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fedsim_runner.participant.absences import Absences
from fedsim_runner.participant.federatedscope.offline import OfflineClients
from tests.unit.participant.federatedscope.helpers import TorchCourse, wait_until
from tests.unit.participant.federatedscope.test_policies import EVALUATORS, SLOW, check_end, rounds_of

CHURN = {"goes_offline": True}
MakeCourse = Callable[..., TorchCourse]


def asked(course: TorchCourse, name: str) -> list[int]:
    """The rounds whose model the server has begun to send to a client."""
    own = ("send", "model_para", course.client_ids()[name])
    steps = course.activity("server")
    return [step["round"] for step in steps if (step["what"], step.get("kind"), step.get("peer")) == own]


def rounds(course: TorchCourse) -> int:
    """How many rounds have begun."""
    return course.log("server").count("-- Starting")


def slow_by(seconds: float) -> str:
    return SLOW.format(seconds=seconds, rounds=list(range(100)))


@pytest.mark.federatedscope
@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_a_client_takes_part_again_under_its_id(torch_course: MakeCourse, evaluator: str) -> None:
    course = torch_course(clients=2, config=rounds_of(25, evaluator), **CHURN)
    course.open_gate()
    course.start(patch=slow_by(0.2))
    course.wait_for("server", r"\(Round #2\)")
    course.set_offline("client-2")
    client = course.client_ids()["client-2"]
    course.wait_for("server", rf"Client #{client} \(.*\) is offline")
    before = rounds(course)
    course.wait_for("server", rf"\(Round #{before + 3}\)")
    assert asked(course, "client-2")[-1] <= before, "not asked while it is offline"
    course.set_offline()
    check_end(course, ["client-1", "client-2"])
    assert asked(course, "client-2")[-1] > before + 3, "and asked again when it is back"
    assert course.client_ids()["client-2"] == client


@pytest.mark.federatedscope
def test_a_round_with_nobody_waits_until_one_is_back(torch_course: MakeCourse) -> None:
    course = torch_course(clients=2, config=rounds_of(8, "clients"), **CHURN)
    course.set_offline("client-1")
    course.open_gate()
    course.start(patch=slow_by(0.3))
    course.wait_for("server", r"\(Round #2\)")
    assert asked(course, "client-1") == [], "it was offline from the beginning"
    course.set_offline("client-1", "client-2")
    course.wait_for("server", r"(?s)is offline.*is offline")
    time.sleep(0.5)
    before = rounds(course)
    time.sleep(2)
    assert rounds(course) <= before
    course.set_offline("client-2")
    check_end(course, ["client-1"])
    assert course.processes["client-2"].poll() is None, "it is offline, and does not know that the course is over"


@pytest.mark.federatedscope
def test_a_later_answer_is_late(torch_course: MakeCourse) -> None:
    course = torch_course(clients=2, config=rounds_of(15, "server"), **CHURN)
    course.open_gate()
    course.start("server")
    course.start("client-1", patch=slow_by(0.4))
    course.start("client-2", patch=SLOW.format(seconds=2, rounds=[0]))
    course.wait_for("server", r"\(Round #0\)")
    course.set_offline("client-2")
    course.wait_for("server", r"\(Round #2\)")
    course.set_offline()
    check_end(course, ["client-1", "client-2"])
    late = [step for step in course.activity("server") if step["what"] == "late"]
    assert [(step["peer"], step["round"]) for step in late] == [(course.client_ids()["client-2"], 0)]
    assert len(asked(course, "client-2")) > 1


@pytest.mark.federatedscope
def test_an_asynchronous_course_goes_on(torch_course: MakeCourse) -> None:
    asynchronous = {"asyn": {"use": True, "min_received_num": 2, "staleness_toleration": 50}}
    course = torch_course(clients=3, config=rounds_of(20, "server") | asynchronous, **CHURN)
    course.open_gate()
    course.start(patch=slow_by(0.3))
    course.wait_for("server", r"\(Round #2\)")
    course.set_offline("client-2")
    course.wait_for("server", r"is offline")
    before = rounds(course)
    course.wait_for("server", rf"\(Round #{before + 3}\)")
    course.set_offline()
    check_end(course, ["client-1", "client-2", "client-3"])


def test_a_client_that_is_back_is_what_it_would_have_become(tmp_path: Path) -> None:
    file = tmp_path / "offline.json"
    sampler: Any = SimpleNamespace(client_state=[0, 1, 0, 1])  # of the server, two idle clients and a busy one
    offline = OfflineClients(sampler, Absences(tmp_path, "hub"))
    addresses = {1: "pi-1:50052", 2: "pi-2:50052", 3: "pi-3:50052"}
    file.write_text('["pi-1", "pi-2", "pi-3"]', encoding="utf-8")
    changed = offline.changed(addresses)
    assert changed == {1: True, 2: True, 3: True}
    offline.take(changed)
    assert sampler.client_state == [0, 0, 0, 0]
    sampler.client_state[2] = 1  # its answer has still arrived
    offline.keep([2])
    assert (sampler.client_state, offline.ids) == ([0, 0, 0, 0], {1, 2, 3})
    file.write_text('["pi-3" ]', encoding="utf-8")
    offline.take(offline.changed(addresses))
    assert (sampler.client_state, offline.ids) == ([0, 1, 1, 0], {3})


@pytest.mark.federatedscope
def test_a_client_that_is_started_anew_joins_again_under_its_id(torch_course: MakeCourse) -> None:
    course = torch_course(clients=2, config=rounds_of(14, "clients"), **CHURN)
    course.open_gate()
    course.start("server", "client-1", patch=slow_by(0.2))
    course.start("client-2", patch=slow_by(600))
    course.wait_for("client-2", r"is assigned with #")
    client = course.client_ids()["client-2"]
    wait_until(lambda: asked(course, "client-2"), 60, lambda: course.said("server"))
    course.processes["client-2"].kill()
    course.processes["client-2"].wait()
    course.set_offline("client-2")
    course.wait_for("server", rf"Client #{client} \(.*\) is offline")
    course.start("client-2", patch=slow_by(0.2))
    course.wait_for("server", rf"Client #{client} \(.*\) joins again")
    before = rounds(course)
    course.set_offline()
    check_end(course, ["client-1", "client-2"])
    assert asked(course, "client-2")[-1] >= before, "it takes part again"
    assert sorted(course.client_ids().values()) == [1, 2], "and nobody got another id"
