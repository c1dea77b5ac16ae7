"""Clients of the light engine that go offline and come back: real processes, to which the file of the gate says so."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fedsim_runner.contract.participant_events import EVENTS
from fedsim_runner.participant.absences import Absences
from fedsim_runner.participant.activity import Activity
from fedsim_runner.participant.light.transport import Transport
from fedsim_runner.participant.light.wire import Message
from tests.unit.participant.helpers import LOOPBACK, Course, free_ports, merged
from tests.unit.participant.test_course import wait_for
from tests.unit.participant.test_policies import BY_CLIENTS, identity, slow

pytestmark = pytest.mark.course

MakeCourse = Callable[..., Course]
CHURN = {"goes_offline": True}


def asked(course: Course, name: str) -> list[int]:
    """The rounds whose model the server has begun to send to a client."""
    own = ("send", "model_para", identity(course, name))
    steps = course.activity("server")
    return [step["round"] for step in steps if (step["what"], step.get("kind"), step.get("peer")) == own]


def rounds(course: Course) -> int:
    """How many rounds have begun."""
    return course.log("server").count("-- Starting")


def end(course: Course) -> None:
    assert [course.wait(name) for name in course.names] == [0] * len(course.names), course.said("server")


@pytest.mark.parametrize("config", [{}, BY_CLIENTS], ids=["evaluated by the server", "evaluated by clients"])
def test_a_client_takes_part_again_under_its_id(make_course: MakeCourse, config: dict[str, object]) -> None:
    course = make_course(config=merged(config, {"federate": {"total_round_num": 24}}), policy=CHURN)
    course.start(patch=slow(0.15))
    course.open_gate()
    wait_for(lambda: rounds(course) == 3)
    course.set_offline("client-2")
    wait_for(lambda: f"client #{identity(course, 'client-2')} (127.0.0.1) is offline" in course.log("server"))
    before = rounds(course)
    wait_for(lambda: rounds(course) > before + 3)
    assert asked(course, "client-2")[-1] <= before, "not asked while it is offline"
    course.set_offline()
    end(course)
    assert asked(course, "client-2")[-1] > before + 3, "and asked again when it is back"
    assert course.log("client-2").count("is assigned with") == 1


def test_an_answer_of_a_client_that_is_back_before_the_end_of_the_round_counts(make_course: MakeCourse) -> None:
    course = make_course(clients=2, config={"federate": {"total_round_num": 1}}, policy=CHURN)
    course.start("server")
    course.start("client-1", patch=slow(4))
    course.start("client-2", patch=slow(1))
    course.open_gate()
    wait_for(lambda: '"what": "train"' in course.log("client-2", "activity.jsonl"))
    course.set_offline("client-2")
    wait_for(lambda: '"what": "trained"' in course.log("client-2", "activity.jsonl"))
    course.set_offline()
    end(course)
    used = [step["peer"] for step in course.activity("server") if step["what"] == "used"]
    assert sorted(used) == [1, 2]


def test_a_later_answer_is_late(make_course: MakeCourse) -> None:
    course = make_course(clients=2, config={"federate": {"total_round_num": 12}}, policy=CHURN)
    course.start("server")
    course.start("client-1", patch=slow(0.4))
    course.start("client-2", patch=slow(1))
    course.open_gate()
    wait_for(lambda: '"what": "train"' in course.log("client-2", "activity.jsonl"))
    course.set_offline("client-2")
    wait_for(lambda: rounds(course) == 3)
    course.set_offline()
    end(course)
    late = [step for step in course.activity("server") if step["what"] == "late"]
    assert [(step["peer"], step["round"]) for step in late] == [(identity(course, "client-2"), 0)]
    assert len(asked(course, "client-2")) > 1


def test_a_round_with_nobody_waits_until_one_is_back(make_course: MakeCourse) -> None:
    course = make_course(clients=2, config={"federate": {"total_round_num": 6}}, policy=CHURN)
    course.start(patch=slow(0.3))
    course.open_gate()
    wait_for(lambda: rounds(course) == 3)
    course.set_offline("client-1", "client-2")
    wait_for(lambda: course.log("server").count("is offline") == 2)
    time.sleep(0.5)
    before = rounds(course)
    time.sleep(2)
    assert rounds(course) == before
    course.set_offline("client-1")
    assert [course.wait(name) for name in ("server", "client-2")] == [0, 0], course.said("server")
    assert course.processes["client-1"].poll() is None, "it is offline, and does not know that the course is over"


def test_a_client_that_is_back_with_a_late_answer_takes_the_goodbye(make_course: MakeCourse) -> None:
    course = make_course(clients=2, config={"federate": {"total_round_num": 3}}, policy=CHURN)
    course.start("server")
    course.start("client-1", patch=slow(1))
    # Its answer never gets away, as if its network were not whole again.
    course.start(
        "client-2",
        patch="from fedsim_runner.participant.light import transport\n_start = transport.Transport._start\n"
        "def start(self, number):\n"
        "    if self._peers[number].queue[0].kind != 'model_para': _start(self, number)\n"
        "transport.Transport._start = start",
    )
    course.open_gate()
    wait_for(lambda: '"what": "trained"' in course.log("client-2", "activity.jsonl"))
    course.set_offline("client-2")
    wait_for(lambda: rounds(course) == 3)
    course.set_offline()
    end(course)


def test_a_client_that_is_offline_at_the_beginning_joins_and_is_not_asked(make_course: MakeCourse) -> None:
    config = merged(BY_CLIENTS, {"federate": {"total_round_num": 20, "join_in_info": ["num_sample"]}})
    course = make_course(config=config, policy=CHURN)
    course.set_offline("client-1")
    course.start(patch=slow(0.15))
    course.open_gate()
    wait_for(lambda: rounds(course) == 5)
    assert asked(course, "client-1") == []
    course.set_offline()
    end(course)
    assert asked(course, "client-1")


def test_a_client_that_is_started_anew_has_its_id_again_before_it_counts_as_online(make_course: MakeCourse) -> None:
    course = make_course(config={"federate": {"total_round_num": 24}}, policy=CHURN)
    course.start(patch=slow(0.15))
    course.open_gate()
    wait_for(lambda: rounds(course) == 3)
    client = identity(course, "client-2")
    course.set_offline("client-2")
    course.processes["client-2"].kill()
    course.processes["client-2"].wait()
    course.start("client-2", patch=slow(0.15))
    reports = course.folder / "client-2" / EVENTS
    wait_for(lambda: reports.read_text(encoding="utf-8").count('"event": "joined"') == 2)
    assert f'"client_id": {client}' in reports.read_text(encoding="utf-8").splitlines()[-1]
    course.set_offline()
    end(course)


def test_a_message_is_taken_once_though_its_answer_was_lost(tmp_path: Path) -> None:
    here, there = free_ports(2)
    sender = Transport(LOOPBACK, here, Activity(tmp_path))
    receiver = Transport(LOOPBACK, there, Activity(tmp_path))
    try:
        sender.add_peer(1, f"{LOOPBACK}:{there}")
        sender.post(Message("model_para", 0, [1], 0, "first"))
        assert receiver.wait([], str).content == "first"
        sender.set_offline(1, True)  # before it has read that the message has arrived
        sender.post(Message("model_para", 0, [1], 1, "second"))
        sender.flush(to_offline=False)
        assert receiver.waiting() == []
        sender.set_offline(1, False)
        sender.flush()
        assert receiver.wait([], str).content == "second"
        assert receiver.waiting() == []
    finally:
        sender.close()
        receiver.close()


def test_who_cannot_be_reached(tmp_path: Path) -> None:
    absences = Absences(tmp_path, "hub")
    assert (absences.refresh(), absences.cut_off("pi-1:50052")) == (False, False)
    file = tmp_path / "offline.json"
    file.write_text('["pi-1"]', encoding="utf-8")
    assert (absences.refresh(), absences.refresh()) == (True, False)
    assert (absences.cut_off("pi-1:50052"), absences.cut_off("pi-11:50052")) == (True, False)
    file.write_text('["pi-1", "hub', encoding="utf-8")
    assert not absences.refresh(), "it is being written"
    file.write_text('["hub"]', encoding="utf-8")
    assert absences.refresh()
    assert absences.is_own
    assert absences.cut_off("pi-11:50052"), "as this device is offline"
