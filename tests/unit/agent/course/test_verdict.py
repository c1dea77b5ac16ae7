"""When a course is over, and with which outcome."""

from __future__ import annotations

import json

import pytest

from fedsim_runner.agent.course.limits import Limits
from fedsim_runner.agent.course.supervision import Supervisor
from fedsim_runner.contract import participant_events as reported
from fedsim_runner.contract.time_scale import TimeScale

from .supervised_course import Course


def test_success_counts_rounds_from_one_and_takes_the_weighted_average() -> None:
    course = Course()
    course.whole()
    assert course.supervisor.outcome is None, "participants get a grace period to end on their own"
    for name in ("hub", "a", "b"):
        course.exit(name, 0)
    course.wait(0)
    assert course.supervisor.outcome is not None and course.supervisor.outcome.status == "finished"
    assert [item["round"] for item in course.named("round_started")] == [1, 2]
    assert [(item["round"], item["results"]["test_acc"]) for item in course.named("evaluated")] == [(1, 0.4), (2, 0.9)]
    assert course.named("course_finished") == [{"event": "course_finished", "rounds": 2, "results": {"test_acc": 0.9}}]
    assert course.named("device_joined")[1] == {"event": "device_joined", "device": "b", "client_id": 2}
    last = course.named("client_result")[-1]
    assert (last["device"], last["round"], last["results"]) == ("b", 2, {"test_acc": 0.8})


def test_a_second_finish_and_a_bad_exit_after_it_do_not_spoil_the_course() -> None:
    course = Course()
    course.whole()
    course.say("a", "================= client 1 received finish message =================")
    course.exit("a", 1)
    course.wait(10)
    assert course.supervisor.outcome is not None and course.supervisor.outcome.status == "finished"
    assert len([item for item in course.named("device_finished") if item["device"] == "a"]) == 1


def test_early_stop_ends_well_with_fewer_rounds() -> None:
    course = Course(rounds=10)
    course.join()
    course.say("hub", "Server: Starting evaluation at the end of round 0.")
    course.merge(0, 0.7)
    course.say("hub", "Server: Final evaluation is finished! Starting merging results.")
    for name in "ab":
        course.say(name, "================= client 1 received finish message =================")
    course.wait(10)
    assert course.named("course_finished")[0]["rounds"] == 1


def test_after_an_early_stop_the_final_evaluation_is_of_the_last_round_that_was_trained() -> None:
    course = Course(rounds=10)
    course.join()
    for name in "ab":
        course.train(name, 0)
    course.say("hub", "Server: Training is finished! Starting evaluation.")
    for name in "ab":
        course.evaluate(name, 11)
    course.merge(11, 0.7)
    course.say("hub", "Server: Final evaluation is finished! Starting merging results.")
    course.say("hub", "{'Role': 'Client #2', 'Round': 11, 'Results_raw': {'test_acc': 0.8}}")
    for name in "ab":
        course.say(name, "================= client 1 received finish message =================")
    course.wait(10)
    assert course.named("course_finished")[0]["rounds"] == 1
    assert [event["round"] for event in course.named("evaluated")] == [1]
    assert {event["round"] for event in course.named("client_result")} == {1}


def test_the_round_that_reached_the_target_is_reported_and_the_course_finishes() -> None:
    course = Course(rounds=9)
    course.join()
    course.report("hub", reported.RoundStarted(0))
    course.report("hub", reported.EvaluationStarted(0))
    course.report("hub", reported.Result(1, "evaluation", "raw", {"test_acc": 0.95}))
    course.report("a", reported.TargetReached(0.99, 0.9))  # only the server's word counts
    course.report("hub", reported.TargetReached(0.95, 0.9))
    assert course.named("target_reached") == [{"event": "target_reached", "round": 1, "accuracy": 0.95, "target": 0.9}]
    for name in ("hub", "a", "b"):
        course.report(name, reported.Finished())
    course.wait(10)
    assert course.supervisor.outcome is not None and course.supervisor.outcome.status == "finished"


def test_out_of_memory_names_the_device_and_its_last_lines() -> None:
    course = Course()
    course.join()
    course.exit("b", 137, oom=True)
    outcome = course.supervisor.outcome
    assert outcome is not None and (outcome.status, outcome.device) == ("failed", "b")
    assert "memory" in str(outcome.reason) and "assigned with #2" in outcome.last_lines[-1]
    assert course.supervisor.states["b"] == "failed"


@pytest.mark.parametrize(
    ("code", "words"),
    [(1, "exit code 1: ValueError: bad shard"), (143, "SIGTERM"), (0, "before the course was over"), (137, "SIGKILL")],
)
def test_an_exit_before_the_end_fails_with_its_reason(code: int, words: str) -> None:
    course = Course()
    course.join()
    course.exit("a", code, lines=("Traceback (most recent call last):", "ValueError: bad shard"))
    outcome = course.supervisor.outcome
    assert outcome is not None and outcome.device == "a" and words in str(outcome.reason)


@pytest.mark.parametrize("go_on", [False, True])
def test_a_participant_that_ends_while_it_loads_is_down_as_in_the_course(go_on: bool) -> None:
    course = Course(go_on=go_on, loading=True)
    course.take(course.supervisor.feed_loading("b"))
    course.exit("b", 137, oom=True)
    last = course.events[-1]
    assert (last["event"], last["device"]) == ("client_lost" if go_on else "course_failed", "b")
    assert last["reason"].startswith("before the gate opened: killed for lack of memory")
    assert (course.supervisor.outcome is None) == go_on


def test_timeout_fails_even_when_lines_keep_coming() -> None:
    course = Course(timeout_s=100)
    course.join()
    for _ in range(10):
        course.say("a", "still here", after=10)
    course.wait(1)
    outcome = course.supervisor.outcome
    assert outcome is not None and outcome.status == "failed" and "longer than 100 s" in str(outcome.reason)


def test_a_crash_that_does_not_end_its_process_is_found() -> None:
    course = Course(silence_s=1000)
    course.join()
    for line in ("Traceback (most recent call last):", "KeyError: 'x'"):
        course.take(course.lines.feed("hub", line, course.now))
    course.wait(16)
    outcome = course.supervisor.outcome
    assert outcome is not None and outcome.device == "hub" and "KeyError: 'x'" in str(outcome.reason)


def ended_without_a_goodbye(course: Course, informed: tuple[int, ...]) -> None:
    """The server reports the end of the course, and then ends, having informed only these clients."""
    course.report("hub", reported.Admitted(1, "a"))
    course.report("hub", reported.Admitted(2, "b"))
    for number in (1, 2):
        course.act("hub", "send", kind="model_para", round=0, peer=number)
    course.report("hub", reported.Finished())
    for number in informed:
        course.act("hub", "send", kind="finish", round=1, peer=number)
    course.exit("hub", 0)


def test_a_server_that_leaves_without_a_goodbye_is_named() -> None:
    course = Course()
    ended_without_a_goodbye(course, informed=(1,))
    outcome = course.supervisor.outcome
    assert outcome is not None and (outcome.status, outcome.device) == ("failed", "hub")
    assert outcome.reason == "ended (exit code 0) without telling b that the course is over"


def test_a_client_that_the_server_has_informed_is_the_one_that_is_waited_for() -> None:
    course = Course(silence_s=60)
    ended_without_a_goodbye(course, informed=(1, 2))
    assert course.supervisor.outcome is None
    course.say("a", "================= client 1 received finish message =================")
    course.wait(61)
    outcome = course.supervisor.outcome
    assert outcome is not None and outcome.device == "b"


def test_a_server_on_another_lab_host_than_its_clients_has_to_say_goodbye_too() -> None:
    supervisor = Supervisor({"hub": "server"}, 1, Limits(1000.0, 60.0), 0.0)
    supervisor.feed_event("hub", reported.Admitted(1, "far"), 1.0)
    supervisor.feed_activity(
        "hub", json.dumps({"t": 1.0, "what": "send", "kind": "model_para", "round": 0, "peer": 1}), 1.0
    )
    supervisor.feed_event("hub", reported.Finished(), 2.0)
    supervisor.feed_exit("hub", 0, False, 3.0)
    assert supervisor.outcome is not None and supervisor.outcome.device == "hub"
    assert "without telling far" in (supervisor.outcome.reason or "")


def test_in_a_dilated_run_reasons_are_in_device_time() -> None:
    scale = TimeScale(0.25)
    slow = Supervisor({"hub": "server", "a": "client"}, 1, Limits(400.0, 4000.0, time_scale=scale), 0.0)
    slow.open(0.0)
    slow.tick(401.0)
    assert slow.outcome is not None
    assert str(slow.outcome.reason).startswith("the course took longer than 100 s of device time; ")
    quiet = Supervisor({"hub": "server", "a": "client"}, 1, Limits(4000.0, 240.0, time_scale=scale), 0.0)
    quiet.open(0.0)
    quiet.tick(240.0)
    assert quiet.outcome is not None and str(quiet.outcome.reason).startswith("silent for 60 s of device time; ")
