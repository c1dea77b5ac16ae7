"""Devices that are offline: nobody waits for them, and silence loses none of them."""

from __future__ import annotations

from fedsim_runner.agent.course.limits import Limits
from fedsim_runner.agent.course.supervision import Supervisor
from fedsim_runner.contract import participant_events as reported

from .supervised_course import Course, answer, ask


def offline(course: Course, *names: str) -> None:
    course.supervisor.feed_offline(names, course.now)


def joined(**options: float | bool) -> Course:
    course = Course(**options)  # type: ignore[arg-type]
    course.join()
    for number, name in enumerate("ab", 1):
        course.report("hub", reported.Admitted(number, name))
    ask(course, "a", "b")
    return course


def test_the_state_of_a_device_that_is_offline() -> None:
    course = joined()
    course.act("b", "train", round=0)
    offline(course, "b")
    assert course.supervisor.live_state("b") == "offline"
    offline(course)
    assert course.supervisor.live_state("b") == "training"


def test_silence_is_not_blamed_on_a_device_that_is_offline() -> None:
    course = joined()
    offline(course, "a")
    course.wait(61)
    (failed,) = course.named("course_failed")
    assert failed["device"] == "b", "which is online, owes an update and is silent"


def test_it_has_its_whole_time_again_when_it_is_back() -> None:
    course = joined(go_on=True)
    answer(course, "b")
    offline(course, "a")
    for _ in range(4):
        course.wait(40)
        course.act("b", "train", round=0)
    offline(course)
    course.wait(59)
    assert course.events[-1]["event"] != "client_lost"
    course.wait(2)
    (lost,) = course.named("client_lost")
    assert lost["device"] == "a"


def test_with_nobody_online_a_course_waits_until_its_timeout_which_names_them() -> None:
    course = joined(timeout_s=1000)
    offline(course, "a", "b")
    for _ in range(15):
        course.wait(61)
    assert not course.named("course_failed")
    course.wait(61)
    course.wait(61)
    (failed,) = course.named("course_failed")
    assert failed["reason"] == "the course took longer than 1000 s; no client is online: a, b are offline"
    assert failed["device"] is None


def test_with_its_server_offline_a_course_waits() -> None:
    course = joined(timeout_s=1000)
    offline(course, "hub")
    course.wait(500)
    assert not course.named("course_failed")
    course.wait(501)
    (failed,) = course.named("course_failed")
    assert failed["reason"].endswith("the server is offline")


def test_an_exit_loses_a_client_that_is_offline() -> None:
    course = joined(go_on=True)
    offline(course, "a")
    course.exit("a", 137, oom=True)
    (lost,) = course.named("client_lost")
    assert (lost["device"], lost["oom_killed"]) == ("a", True)


def test_a_course_ends_without_a_client_that_is_offline() -> None:
    course = joined()
    offline(course, "a")
    for name in ("hub", "b"):
        course.report(name, reported.Finished())
    course.act("hub", "send", kind="finish", round=2, peer=2)
    course.exit("hub", 0)
    course.exit("b", 0)
    course.wait(1)
    assert [event["device"] for event in course.named("device_missed_end")] == ["a"]
    assert course.named("course_finished"), "nobody waits for it"
    assert not course.named("course_failed")


def test_who_has_joined() -> None:
    course = Course()
    assert not course.supervisor.has_joined("a")
    course.join()
    assert course.supervisor.has_joined("a")
    assert course.supervisor.has_joined("hub"), "its first round has begun"


def test_a_client_that_is_back_when_its_server_has_ended_is_not_lost() -> None:
    course = joined()
    offline(course, "a")
    course.report("hub", reported.Finished())
    offline(course)
    course.act("hub", "send", kind="finish", round=2, peer=2)
    course.report("b", reported.Finished())
    course.exit("hub", 0)
    course.exit("a", 1)
    course.wait(6)
    assert course.named("course_finished")
    assert not course.named("course_failed")


def test_a_lab_host_without_the_server_is_not_done_because_all_of_its_clients_are_offline() -> None:
    supervisor = Supervisor({"a": "client", "b": "client"}, 2, Limits(1000, 60), 0.0)
    for number, name in enumerate("ab", 1):
        supervisor.feed_event(name, reported.Joined(number), 1.0)
    supervisor.feed_offline({"a", "b"}, 2.0)
    assert supervisor.tick(30.0) == []
    supervisor.feed_offline({"a"}, 31.0)
    supervisor.feed_event("b", reported.Finished(), 32.0)
    supervisor.tick(33.0)
    assert [event.name for event in supervisor.tick(50.0)] == ["device_missed_end", "course_finished"]
