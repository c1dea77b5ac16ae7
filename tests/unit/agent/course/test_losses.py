"""A course that continues without the clients it loses."""

from __future__ import annotations

from fedsim_runner.contract import participant_events as reported

from .supervised_course import Course


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
