"""The supervisor fed with FederatedScope's own lines: who finished, who failed, and who is waited for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal

import pytest

from fedsim_runner.agent.course.supervision import Limits, Supervisor
from fedsim_runner.contract import participant_events as reported
from fedsim_runner.contract.events import Event
from tests.reported import Lines

PREFIX = "2026-01-02 10:00:00,123 (server:442) INFO: "


class Course:
    """A course with a server ``hub`` and clients ``a`` and ``b``; collects events."""

    def __init__(
        self,
        rounds: int = 2,
        timeout_s: float = 1000.0,
        silence_s: float = 60.0,
        go_on: bool = False,
        min_clients: int = 1,
        loading: bool = False,
    ) -> None:
        self.now = 0.0
        self.events: list[dict[str, Any]] = []
        roles: dict[str, Literal["server", "client"]] = {"hub": "server", "a": "client", "b": "client"}
        limits = Limits(timeout_s, silence_s, go_on=go_on, min_clients=min_clients)
        self.supervisor = Supervisor(roles, rounds, limits, None if loading else 0.0)
        self.lines = Lines(self.supervisor)

    def take(self, events: Iterable[Event]) -> None:
        self.events += [event.as_dict() for event in events]

    def say(self, device: str, text: str, after: float = 1.0) -> None:
        self.now += after
        self.take(self.lines.feed(device, f"\x1b[1;32m{PREFIX}{text}\x1b[0m\n", self.now))

    def report(self, device: str, event: reported.ParticipantEvent) -> None:
        self.now += 1
        self.take(self.supervisor.feed_event(device, event, self.now))

    def exit(self, device: str, code: int, oom: bool = False, lines: tuple[str, ...] = ()) -> None:
        self.now += 1
        self.take(self.supervisor.feed_exit(device, code, oom, self.now, lines))

    def act(self, device: str, what: str, after: float = 0.0, **keys: Any) -> None:
        self.now += after
        self.supervisor.feed_activity(device, json.dumps({"t": self.now, "what": what, **keys}), self.now)

    def freeze(self, device: str) -> None:
        self.supervisor.feed_frozen(device, True, self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.take(self.supervisor.tick(self.now))

    def join(self) -> None:
        self.say("hub", "Server: Listen to 0.0.0.0:50051...")
        for number, name in enumerate("ab", 1):
            self.say(name, f"Client: Listen to {name}:50052...")
            self.say(name, f"Client (address {name}:50052) is assigned with #{number}.")
        self.say("hub", "----------- Starting training (Round #0) -------------")

    def train(self, name: str, number: int) -> None:
        result = f"{{'train_loss': 1.5, 'train_acc': nan, 'train_total': {number}}}"
        self.say(name, f"{{'Role': 'Client #{1 + 'ab'.index(name)}', 'Round': {number}, 'Results_raw': {result}}}")

    def evaluate(self, name: str, number: int) -> None:
        client = 1 + "ab".index(name)
        self.say(name, f"{{'Role': 'Client #{client}', 'Round': {number}, 'Results_raw': {{'test_acc': 0.5}}}}")

    def merge(self, number: int, accuracy: float) -> None:
        forms = f"'Results_weighted_avg': {{'test_acc': {accuracy}}}, 'Results_avg': {{'test_acc': 0.1}}"
        self.say("hub", f"{{'Role': 'Server #', 'Round': {number}, {forms}}}")

    def whole(self) -> None:
        self.join()
        for name in "ab":
            self.train(name, 0)
        self.say("hub", "Server: Starting evaluation at the end of round 0.")
        self.say("hub", "----------- Starting a new training round (Round #1) -------------")
        for name in "ab":
            self.evaluate(name, 0)
        self.merge(0, 0.4)
        for name in "ab":
            self.train(name, 1)
        self.say("hub", "Server: Training is finished! Starting evaluation.")
        for name in "ab":
            self.evaluate(name, 1)
        self.merge(1, 0.9)
        self.say("hub", "Server: Final evaluation is finished! Starting merging results.")
        self.say("hub", "{'Role': 'Server #', 'Round': 'Final', 'Results_raw': {'test_acc': 0.9}}")
        self.say("hub", "{'Role': 'Client #2', 'Round': 2, 'Results_raw': {'test_acc': 0.8}}")
        for name in "ab":
            self.say(name, "================= client 1 received finish message =================")

    def named(self, event: str) -> list[dict[str, Any]]:
        return [item for item in self.events if item["event"] == event]


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


def test_the_evaluation_of_a_late_round_keeps_its_number() -> None:
    """FederatedScope sends ``evaluate`` and starts the next round immediately: results arrive after that."""
    course = Course()
    course.whole()
    assert [item["round"] for item in course.named("evaluated")] == [1, 2]


def test_a_second_finish_and_a_bad_exit_after_it_do_not_spoil_the_course() -> None:
    course = Course()
    course.whole()
    course.say("a", "================= client 1 received finish message =================")
    course.exit("a", 1)
    course.wait(10)
    assert course.supervisor.outcome is not None and course.supervisor.outcome.status == "finished"
    assert len([item for item in course.named("device_finished") if item["device"] == "a"]) == 1


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


def test_silence_blames_the_client_whose_training_is_missing() -> None:
    course = Course()
    course.join()
    course.train("a", 0)
    course.wait(59)
    assert course.supervisor.outcome is None
    course.wait(2)
    outcome = course.supervisor.outcome
    assert outcome is not None and outcome.device == "b" and "no training results in round 1" in str(outcome.reason)


def test_silence_blames_the_first_in_broadcast_order_or_the_paused_one() -> None:
    course = Course()
    course.join()
    course.freeze("b")
    course.wait(61)
    assert course.supervisor.outcome is not None and course.supervisor.outcome.device == "b"
    course = Course()
    course.join()
    course.wait(61)
    assert course.supervisor.outcome is not None and course.supervisor.outcome.device == "a"


def test_silence_before_training_names_who_is_missing() -> None:
    course = Course()
    course.wait(61)
    assert course.supervisor.outcome is not None and course.supervisor.outcome.device == "hub"
    course = Course()
    course.say("hub", "Server: Listen to 0.0.0.0:50051...")
    course.say("a", "Client: Listen to a:50052...")
    course.say("a", "Client (address a:50052) is assigned with #1.")
    course.say("b", "Client: Listen to b:50052...")
    course.wait(61)
    outcome = course.supervisor.outcome
    assert outcome is not None and outcome.device == "b" and "has not joined" in str(outcome.reason)


def test_time_limits_count_from_the_gate_and_not_from_the_start_of_loading() -> None:
    course = Course(silence_s=60, timeout_s=100, loading=True)
    course.take(course.supervisor.feed_loading("hub"))
    course.wait(5000)
    course.say("hub", "Server: Listen to 0.0.0.0:50051...")
    assert [event["event"] for event in course.events] == ["device_loading", "device_ready"]
    states = [course.supervisor.live_state(name) for name in ("hub", "a")]
    assert (states, course.supervisor.is_open) == (["ready", "waiting"], False)
    course.supervisor.open(course.now)
    course.wait(59)
    assert (course.supervisor.outcome, course.supervisor.is_open) == (None, True)
    course.wait(1)
    assert course.events[-1]["reason"] == "silent for 60 s; a client is not listening yet: waiting for a (and 1 more)"


@pytest.mark.parametrize("go_on", [False, True])
def test_a_participant_that_ends_while_it_loads_is_down_as_in_the_course(go_on: bool) -> None:
    course = Course(go_on=go_on, loading=True)
    course.take(course.supervisor.feed_loading("b"))
    course.exit("b", 137, oom=True)
    last = course.events[-1]
    assert (last["event"], last["device"]) == ("client_lost" if go_on else "course_failed", "b")
    assert last["reason"].startswith("before the gate opened: killed for lack of memory")
    assert (course.supervisor.outcome is None) == go_on


def test_silence_in_the_last_evaluation_and_at_the_end() -> None:
    course = Course(rounds=1)
    course.join()
    course.train("a", 0)
    course.train("b", 0)
    course.say("hub", "Server: Training is finished! Starting evaluation.")
    course.evaluate("b", 0)
    course.wait(61)
    assert course.supervisor.outcome is not None and course.supervisor.outcome.device == "a"
    course = Course(rounds=1)
    course.join()
    course.say("hub", "Server: Final evaluation is finished! Starting merging results.")
    course.say("a", "================= client 1 received finish message =================")
    course.wait(61)
    assert course.supervisor.outcome is not None and course.supervisor.outcome.device == "b"


def test_a_silent_server_is_named_when_all_clients_have_answered() -> None:
    course = Course()
    course.join()
    course.train("a", 0)
    course.train("b", 0)
    course.wait(61)
    assert course.supervisor.outcome is not None and course.supervisor.outcome.device == "hub"


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


def ask(course: Course, *names: str, number: int = 0) -> None:
    """The server sends the model of a round, and it arrives."""
    for name in names:
        peer = 1 + "ab".index(name)
        course.act("hub", "send", kind="model_para", round=number, peer=peer)
        course.act(name, "received", kind="model_para", round=number, peer=0)
        course.act("hub", "sent", kind="model_para", round=number, peer=peer)


def answer(course: Course, name: str, number: int = 0) -> None:
    course.act(name, "send", kind="model_para", round=number, peer=0)
    course.act("hub", "received", kind="model_para", round=number, peer=1 + "ab".index(name))
    course.act(name, "sent", kind="model_para", round=number, peer=0)


def test_a_clients_result_keeps_its_round_though_the_server_was_not_read_yet() -> None:
    course = Course(rounds=5)
    for number in (0, 1, 4):
        course.report("a", reported.Result(number, "training", "raw", {"train_acc": 0.5}))
    assert [event["round"] for event in course.named("client_result")] == [1, 2, 5]


def ended_without_a_goodbye(course: Course, told: tuple[int, ...]) -> None:
    """The server reports the end of the course, and then ends, having told only these clients."""
    course.report("hub", reported.Admitted(1, "a"))
    course.report("hub", reported.Admitted(2, "b"))
    for number in (1, 2):
        course.act("hub", "send", kind="model_para", round=0, peer=number)
    course.report("hub", reported.Finished())
    for number in told:
        course.act("hub", "send", kind="finish", round=1, peer=number)
    course.exit("hub", 0)


def test_a_server_that_leaves_without_a_goodbye_is_named() -> None:
    course = Course()
    ended_without_a_goodbye(course, told=(1,))
    outcome = course.supervisor.outcome
    assert outcome is not None and (outcome.status, outcome.device) == ("failed", "hub")
    assert outcome.reason == "ended (exit code 0) without telling b that the course is over"


def test_a_client_that_the_server_has_told_is_the_one_that_is_waited_for() -> None:
    course = Course(silence_s=60)
    ended_without_a_goodbye(course, told=(1, 2))
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


def test_a_lost_client_is_reported_and_the_others_finish() -> None:
    course = Course(rounds=1, go_on=True)
    course.join()
    course.exit("b", 137, oom=True)
    (lost,) = course.named("client_lost")
    assert (lost["device"], lost["oom_killed"]) == ("b", True)
    assert "memory limit" in lost["reason"] and "assigned with #2" in lost["last_lines"][-1]
    assert course.supervisor.lost == {"b": lost["reason"]}
    assert course.supervisor.states["b"] == course.supervisor.live_state("b") == "lost"
    course.report("hub", reported.ClientLost(2, lost["reason"]))
    course.train("a", 0)
    course.say("hub", "Server: Training is finished! Starting evaluation.")
    course.evaluate("a", 0)
    course.merge(0, 0.9)
    course.say("hub", "Server: Final evaluation is finished! Starting merging results.")
    course.say("a", "================= client 1 received finish message =================")
    course.exit("a", 0)
    course.exit("hub", 0)
    course.wait(0)
    assert course.supervisor.outcome is not None and course.supervisor.outcome.status == "finished"
    assert len(course.named("client_lost")) == 1, "an event that the server repeats does not count again"


def test_fewer_than_min_clients_fail_the_course_with_the_name_of_the_last_one() -> None:
    course = Course(go_on=True, min_clients=2)
    course.join()
    course.exit("b", 1, lines=("ValueError: bad shard",))
    outcome = course.supervisor.outcome
    assert outcome is not None and (outcome.status, outcome.device) == ("failed", "b")
    assert outcome.reason == (
        "ended with exit code 1: ValueError: bad shard; 1 client is left, and course.min_clients is 2"
    )


def test_a_lost_server_fails_the_course_under_any_policy() -> None:
    course = Course(go_on=True)
    course.join()
    course.exit("hub", 1, lines=("participant: 1 clients are left",))
    outcome = course.supervisor.outcome
    assert outcome is not None and (outcome.status, outcome.device) == ("failed", "hub")
    course = Course(go_on=True)
    course.join()
    course.freeze("hub")
    course.wait(61)
    outcome = course.supervisor.outcome
    assert outcome is not None and outcome.device == "hub" and "hub is frozen" in str(outcome.reason)


def test_a_frozen_client_is_lost_after_the_silence_and_the_clock_restarts() -> None:
    course = Course(go_on=True)
    course.join()
    course.train("a", 0)
    course.freeze("b")
    course.wait(59)
    assert course.named("client_lost") == []
    course.wait(2)
    assert [event["device"] for event in course.named("client_lost")] == ["b"]
    course.wait(58)
    assert course.supervisor.outcome is None
    course.wait(3)
    outcome = course.supervisor.outcome
    assert outcome is not None and outcome.device == "hub", "the only client left has trained"


def test_a_frozen_client_is_lost_though_the_others_keep_reporting() -> None:
    """With a round deadline the others do not wait for it."""
    course = Course(rounds=100, go_on=True)
    course.join()
    course.freeze("b")
    for number in range(1, 8):
        course.say("hub", f"----------- Starting a new training round (Round #{number}) -------------", after=10)
        course.wait(0)
    (lost,) = course.named("client_lost")
    assert (lost["device"], lost["reason"]) == ("b", "frozen for 60 s")


def test_silence_loses_the_client_that_owes_an_answer() -> None:
    course = Course(go_on=True)
    course.join()
    ask(course, "b")  # a is not sampled in this round
    course.act("b", "train", round=0)
    course.wait(61)
    assert [event["device"] for event in course.named("client_lost")] == ["b"]
    assert "waiting for b" in course.named("client_lost")[0]["reason"]


def test_a_client_that_claims_to_have_answered_does_not_put_the_blame_on_the_server() -> None:
    course = Course(go_on=True)
    course.join()
    ask(course, "a", "b")
    answer(course, "a")
    course.act("b", "send", kind="model_para", round=0, peer=0)
    course.act("b", "sent", kind="model_para", round=0, peer=0)  # which the server has not received
    course.wait(61)
    assert [event["device"] for event in course.named("client_lost")] == ["b"]


def test_a_message_that_does_not_arrive_names_its_receiver() -> None:
    course = Course(go_on=True)
    course.join()
    ask(course, "a")
    answer(course, "a")
    course.act("hub", "send", kind="model_para", round=0, peer=2)
    assert course.supervisor.live_state("b") == "receiving"
    for _ in range(30):  # retrying is not progress
        course.act("hub", "send_failed", after=2, kind="model_para", round=0, peer=2)
        course.act("hub", "send", kind="model_para", round=0, peer=2)
        course.wait(0)
    course.wait(2)
    assert [event["device"] for event in course.named("client_lost")] == ["b"]


def test_a_server_that_expects_nothing_is_itself_to_blame() -> None:
    course = Course(go_on=True)
    course.join()
    for name in "ab":
        course.act("hub", "sent", kind="assign_client_id", peer=1, round=0)
        course.act(name, "received", kind="assign_client_id", round=0, peer=0)
    course.wait(61)
    outcome = course.supervisor.outcome
    assert outcome is not None and outcome.device == "hub"
    assert "no client has anything to do in round 1" in str(outcome.reason)


def test_a_working_client_does_not_count_as_silent_until_the_course_times_out() -> None:
    course = Course(timeout_s=400)
    course.join()
    ask(course, "a", "b")
    answer(course, "a")
    course.train("a", 0)
    course.act("b", "train", round=0)
    for _ in range(30):
        course.supervisor.feed_heartbeat("b", course.now)
        course.wait(10)
    assert course.supervisor.outcome is None
    course.wait(60)  # and now it no longer does anything
    outcome = course.supervisor.outcome
    assert outcome is not None and outcome.device == "b" and "silent for" in str(outcome.reason)
    course = Course(timeout_s=400)
    course.join()
    for _ in range(40):
        course.supervisor.feed_heartbeat("b", course.now)
        course.supervisor.feed_heartbeat("a", course.now)
        course.wait(10)
    assert course.supervisor.outcome is not None and "longer than 400 s" in str(course.supervisor.outcome.reason)


def test_a_frozen_client_is_not_excused_by_what_it_did_before() -> None:
    course = Course()
    course.join()
    course.supervisor.feed_heartbeat("b", course.now)
    course.freeze("b")
    course.wait(60)
    assert course.supervisor.outcome is not None and course.supervisor.outcome.device == "b"


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


def test_deadlines_and_late_updates_are_reported_with_names_and_rounds_from_one() -> None:
    course = Course(go_on=True)
    course.join()
    course.report("hub", reported.DeadlinePassed(0, arrived=1, wanted=2))
    course.report("hub", reported.Update(2, 0, staleness=1, used=False))
    assert course.named("round_deadline") == [{"event": "round_deadline", "round": 1, "arrived": 1, "wanted": 2}]
    assert course.named("update_late") == [{"event": "update_late", "device": "b", "round": 1}]


def test_a_warning_is_passed_on_once_whoever_logs_it() -> None:
    course = Course()
    for device in ("a", "b", "hub"):
        course.report(device, reported.Warned("no val_data in round 3"))
        course.report(device, reported.Warned(f"only {device} says this"))
    warned = [(event["device"], event["text"]) for event in course.named("device_warned")]
    assert warned[0] == ("a", "no val_data in round 3")
    assert warned[1:] == [(device, f"only {device} says this") for device in ("a", "b", "hub")]
    for number in range(100):
        course.report("b", reported.Warned("x" * number))
    assert len(course.named("device_warned")) == 50


def test_a_client_that_the_server_gave_up_is_lost() -> None:
    course = Course(go_on=True)
    course.join()
    course.report("hub", reported.ClientLost(1, "it refuses connections"))
    assert course.supervisor.lost == {"a": "given up by the server: it refuses connections"}


def test_a_client_that_the_server_blames_fails_a_course_that_does_not_go_on() -> None:
    course = Course()
    course.join()
    course.report("hub", reported.ClientLost(1, "its update is not valid"))
    (failed,) = course.named("course_failed")
    assert (failed["device"], failed["reason"]) == ("a", "given up by the server: its update is not valid")


# What a client may write into its own events.jsonl, or make its own engine log.
SERVERS_EVENTS: dict[str, reported.ParticipantEvent] = {
    event.name: event
    for event in (
        reported.Admitted(2, "a"),
        reported.RoundStarted(1),
        reported.EvaluationStarted(0),
        reported.TrainingFinished(),
        reported.TrainingFailed(0),
        reported.Update(2, 0, staleness=1, used=False),
        reported.DeadlinePassed(0, 1, 2),
        reported.ClientLost(2, "I say so"),
    )
}


@pytest.mark.parametrize("name", SERVERS_EVENTS)
@pytest.mark.parametrize("go_on", [False, True])
def test_the_servers_story_counts_only_from_the_server(name: str, go_on: bool) -> None:
    course = Course(go_on=go_on)
    course.join()
    before = len(course.events)
    course.report("a", SERVERS_EVENTS[name])
    assert course.events[before:] == []
    assert (course.supervisor.outcome, course.supervisor.lost, course.supervisor.round) == (None, {}, 1)
    course.report("hub", SERVERS_EVENTS[name])
    assert course.events[before:] or name in ("admitted", "evaluating"), "from the server it counts"


def test_the_server_says_which_client_has_which_id() -> None:
    """A client that claims another's id is blamed for what it does itself, and the other for nothing."""
    course = Course(go_on=True)
    course.say("hub", "Server: Listen to 0.0.0.0:50051...")
    course.report("a", reported.Joined(2))  # which is b's
    course.report("hub", reported.Admitted(1, "a"))
    course.report("hub", reported.Admitted(2, "b"))
    course.report("b", reported.Joined(2))
    last = {event["device"]: event["client_id"] for event in course.named("device_joined")}
    assert last == {"a": 1, "b": 2}
    course.report("hub", reported.ClientLost(1, "its update is not valid"))
    assert list(course.supervisor.lost) == ["a"]


def test_live_states_follow_the_activity_or_without_it_the_log() -> None:
    course = Course()
    course.say("a", "Client: Listen to a:50052...")
    assert (course.supervisor.live_state("hub"), course.supervisor.live_state("a")) == ("waiting", "joining")
    course.join()
    assert course.supervisor.live_state("a") == "waiting"
    course.train("a", 0)
    assert course.supervisor.live_state("a") == "training"
    course.act("hub", "send", kind="model_para", round=0, peer=2)
    assert (course.supervisor.live_state("hub"), course.supervisor.live_state("b")) == ("sending", "receiving")
    course.act("b", "received", after=1, kind="model_para", round=0, peer=0)
    assert course.supervisor.live_state("b") == "waiting"
    course.act("b", "train", round=0)
    assert (course.supervisor.live_state("b"), course.supervisor.device_round("b")) == ("training", 1)
    course.act("b", "trained", round=0)
    course.act("b", "send", kind="model_para", round=0, peer=0)
    course.act("hub", "sent", kind="model_para", round=0, peer=2)
    assert (course.supervisor.live_state("hub"), course.supervisor.live_state("b")) == ("receiving", "sending")
    course.act("b", "sent", kind="model_para", round=0, peer=0)
    assert course.supervisor.live_state("b") == "waiting"
    course.act("hub", "aggregate", round=0)
    assert course.supervisor.live_state("hub") == "aggregating"
    course.say("b", "================= client 2 received finish message =================")
    assert course.supervisor.live_state("b") == "finished"


@pytest.mark.parametrize(
    "line", ["", "{", "[]", "3", '{"what": 3}', '{"what": "train", "round": [1], "t": "x"}', "[" * 9999]
)
def test_nonsense_in_an_activity_file_does_no_harm(line: str) -> None:
    course = Course()
    course.join()
    course.supervisor.feed_activity("a", line, course.now)
    course.supervisor.feed_activity("nobody", line, course.now)
    assert course.supervisor.outcome is None
