"""What participants report: which round it belongs to, whose word counts, and the live states that follow."""

from __future__ import annotations

import pytest

from fedsim_runner.contract import participant_events as reported

from .supervised_course import Course


def test_the_evaluation_of_a_late_round_keeps_its_number() -> None:
    """FederatedScope sends ``evaluate`` and starts the next round immediately: results arrive after that."""
    course = Course()
    course.whole()
    assert [item["round"] for item in course.named("evaluated")] == [1, 2]


def test_a_clients_result_keeps_its_round_though_the_server_was_not_read_yet() -> None:
    course = Course(rounds=5)
    for number in (0, 1, 4):
        course.report("a", reported.Result(number, "training", "raw", {"train_acc": 0.5}))
    assert [event["round"] for event in course.named("client_result")] == [1, 2, 5]


def test_deadlines_and_late_updates_are_reported_with_names_and_rounds_from_one() -> None:
    course = Course(go_on=True)
    course.join()
    course.report("hub", reported.DeadlinePassed(0, arrived=1, wanted=2))
    course.report("hub", reported.Update(2, 0, staleness=1, used=False))
    assert course.named("round_deadline") == [{"event": "round_deadline", "round": 1, "arrived": 1, "wanted": 2}]
    assert course.named("update_late") == [{"event": "update_late", "device": "b", "round": 1}]


def test_a_quorum_is_reported_with_rounds_from_one() -> None:
    course = Course()
    course.join()
    course.report("hub", reported.QuorumReached(2, arrived=1, wanted=2))
    assert course.named("round_quorum") == [{"event": "round_quorum", "round": 3, "arrived": 1, "wanted": 2}]


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
        reported.QuorumReached(0, 1, 2),
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
