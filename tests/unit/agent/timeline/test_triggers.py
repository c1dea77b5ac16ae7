"""Which moments have come that entries wait for."""

from __future__ import annotations

import pytest

from fedsim_runner.agent.course.limits import Limits
from fedsim_runner.agent.course.supervision import Supervisor
from fedsim_runner.agent.timeline.triggers import has_come, read_for
from fedsim_runner.contract import participant_events as reported
from fedsim_runner.contract.timeline import State, TimelineEntry, When


@pytest.fixture
def course() -> Supervisor:
    return Supervisor({"server": "server", "a": "client", "b": "client"}, 5, Limits(100, 50, go_on=True), 0.0)


def when(state: State) -> TimelineEntry:
    return TimelineEntry(number=1, devices=("b",), when=When("a", state))


def test_a_round_has_come_once_it_has_begun_or_a_later_one(course: Supervisor) -> None:
    second, third = (TimelineEntry(number=1, devices=("a",), round=number) for number in (2, 3))
    assert not has_come(second, course)
    course.feed_event("server", reported.RoundStarted(0), 1.0)
    assert not has_come(second, course)
    course.feed_event("server", reported.RoundStarted(2), 2.0)
    assert has_come(second, course) and has_come(third, course)


def test_each_state_of_a_client_has_its_moment(course: Supervisor) -> None:
    found: list[list[str]] = []
    states: tuple[State, ...] = ("joined", "training", "finished", "lost")

    def note() -> None:
        found.append([state for state in states if has_come(when(state), course)])

    note()
    course.feed_event("server", reported.Admitted(1, "a"), 1.0)
    note()
    course.feed_event("a", reported.Result(0, "training", "raw", {"loss": 1.0}), 2.0)
    note()
    course.feed_event("a", reported.Finished(), 3.0)
    note()
    assert found == [[], ["joined"], ["joined", "training"], ["joined", "finished"]]
    course.lose("b", "for the test", 4.0)
    assert has_come(TimelineEntry(number=1, devices=("a",), when=When("b", "lost")), course)
    assert not has_come(TimelineEntry(number=1, devices=("a",), when=When("elsewhere", "lost")), course)


def test_a_client_trains_from_the_moment_it_says_so_not_only_once_it_has_results(course: Supervisor) -> None:
    course.open(0.0)
    course.feed_event("a", reported.Ready(), 1.0)
    course.feed_event("server", reported.Admitted(1, "a"), 1.0)
    assert not has_come(when("training"), course)
    course.feed_activity("a", '{"t": 1.5, "what": "train", "round": 0}', 1.5)
    assert course.states["a"] != "training" and has_come(when("training"), course)


def test_only_those_are_read_often_that_an_entry_waits_for() -> None:
    assert read_for([TimelineEntry(number=1, devices=("b",), at_s=3.0)], "server") == set()
    assert read_for([TimelineEntry(number=1, devices=("b",), round=3)], "server") == {"server"}
    assert read_for([when("training")], "server") == {"server", "a"}
