"""Who is to blame when nothing more is heard, and from when on silence counts."""

from __future__ import annotations

from fedsim_runner.contract.participant_events import MessageRefused

from .supervised_course import Course, answer, ask


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


def test_nobody_is_blamed_while_the_server_works_but_one_that_is_frozen() -> None:
    course = Course(rounds=1)
    course.join()
    course.say("hub", "Server: Final evaluation is finished! Starting merging results.")
    for _ in range(30):  # it packs the last model, for which the clients wait
        course.supervisor.feed_heartbeat("hub", course.now)
        course.wait(10)
    assert course.supervisor.outcome is None
    course.freeze("b")
    course.wait(1)
    outcome = course.supervisor.outcome
    assert outcome is not None and outcome.device == "b" and "b is frozen" in str(outcome.reason)


def test_a_server_that_works_no_more_does_not_keep_a_course_alive() -> None:
    course = Course(rounds=1)
    course.join()
    course.supervisor.feed_heartbeat("hub", course.now)
    course.wait(59)
    assert course.supervisor.outcome is None
    course.wait(2)
    assert course.supervisor.outcome is not None and course.supervisor.outcome.device == "a"


def test_a_frozen_client_is_not_excused_by_what_it_did_before() -> None:
    course = Course()
    course.join()
    course.supervisor.feed_heartbeat("b", course.now)
    course.freeze("b")
    course.wait(60)
    assert course.supervisor.outcome is not None and course.supervisor.outcome.device == "b"


def test_silence_after_a_refused_message_says_why_the_server_does_not_go_on() -> None:
    course = Course()
    course.join()
    course.report("hub", MessageRefused(1, "stats", "it is too large"))
    course.report("b", MessageRefused(2, "stats", "a client's word on another's message"))
    course.train("a", 0)
    course.wait(61)
    outcome = course.supervisor.outcome
    assert outcome is not None and outcome.device == "b" and "refused" not in str(outcome.reason)
    for blamed in ("a", "hub"):
        course = Course()
        course.join()
        course.report("hub", MessageRefused(1, "stats", "it is too large"))
        if blamed == "hub":
            course.act("hub", "sent", kind="assign_client_id", peer=1, round=0)
            for name in "ab":
                course.act(name, "received", kind="assign_client_id", round=0, peer=0)
        course.wait(61)
        outcome = course.supervisor.outcome
        assert outcome is not None and outcome.device == blamed
        assert str(outcome.reason).endswith("; the server has refused a message of a: it is too large")
