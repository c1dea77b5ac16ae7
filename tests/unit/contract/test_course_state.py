"""One state computed from the events of all lab hosts."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from fedsim_runner.contract import events as e
from fedsim_runner.contract.course_state import CourseState, Outcome, accuracy_of

SERVER_HOST: Sequence[e.Event] = [
    e.AgentStarted("netem", "6.1", 1, t=1.0),
    e.DeviceStarted("server", t=2.0),
    e.DeviceStarted("pi-1", t=2.1),
    e.LinkShaped("server", t=3.0),
    e.LinkShaped("pi-1", t=3.1),
    e.GateOpened(5.0, t=4.0),
    e.DeviceReady("server", t=5.5),
    e.DeviceJoined("pi-1", 1, t=6.0),
    e.RoundStarted(1, t=7.0),
    e.Evaluated(1, {"test_acc": 0.5}, t=9.0),
    e.RoundStarted(2, t=9.0),
    e.RoundDeadline(2, 1, 2, t=11.0),
    e.UpdateLate("pi-1", 2, t=11.5),
    e.Evaluated(2, {"test_acc": 0.7}, t=12.0),
    e.TrainingFinished(t=12.0),
    e.Evaluated(2, {"test_acc": 0.7, "test_total": 10.0}, t=12.5),
    e.DeviceFinished("server", t=13.0),
    e.DeviceFinished("pi-1", t=13.1),
    e.CourseFinished(2, {"test_acc": 0.7}, t=14.0),
    e.DeviceExited("pi-1", 0, False, t=14.5),
]
CLIENT_HOST: Sequence[e.Event] = [
    e.AgentStarted("userspace", "5.15", 1, t=1.5),
    e.DeviceStarted("pi-2", t=2.0),
    e.LinkShaped("pi-2", t=3.0),
    e.GateOpened(5.0, t=4.2),
    e.DeviceJoined("pi-2", 2, t=6.1),
    e.LinkReapplied("pi-2", t=8.0),
    e.ClientLost("pi-2", "frozen for 60 s", False, ("Traceback",), t=10.0),
    e.DeviceFinished("pi-2", t=10.5),
    e.DeviceExited("pi-2", 137, False, t=10.6),
    e.CourseFinished(0, {}, t=13.5),
]


def of(lab_host: str, events: Sequence[e.Event]) -> list[e.Event]:
    return [replace(event, lab_host=lab_host) for event in events]


LAB1, LAB2 = of("lab1", SERVER_HOST), of("lab2", CLIENT_HOST)


def mixed(seed: int) -> list[e.Event]:
    """Both streams, each in order, randomly interleaved."""
    rng, one, other = random.Random(seed), list(LAB1), list(LAB2)
    found = []
    while one or other:
        queue = one if one and (not other or rng.random() < 0.5) else other
        found.append(queue.pop(0))
    return found


ORDERS = {
    "lab1 first": [*LAB1, *LAB2],
    "lab2 first": [*LAB2, *LAB1],
    "by time": sorted([*LAB1, *LAB2], key=lambda event: event.t or 0.0),
    **{f"mixed {seed}": mixed(seed) for seed in range(5)},
}


@pytest.mark.parametrize("order", ORDERS)
def test_two_lab_hosts_make_one_course_in_any_order(order: str) -> None:
    state = CourseState().apply_all(ORDERS[order])
    assert state.outcome == Outcome("finished", t=14.0)
    assert (state.gate_opened, state.gate_opens, state.training_began, state.began) == (4.0, 5.0, 7.0, 7.0)
    assert (state.round, state.last_step, state.last_t) == (2, 12.0, 14.5)
    assert {number: (one.t, one.results) for number, one in state.evaluations.items()} == {
        1: (9.0, {"test_acc": 0.5}),
        2: (12.0, {"test_acc": 0.7, "test_total": 10.0}),
    }
    assert (state.accuracies, state.final_results) == ((0.5, 0.7), {"test_acc": 0.7})
    assert {name: device.state for name, device in state.devices.items()} == {
        "server": "finished",
        "pi-1": "finished",
        "pi-2": "lost",
    }
    assert state.device_counts == {"finished": 2, "lost": 1}
    lost = state.devices["pi-2"]
    assert (lost.client_id, lost.exit_code, lost.error, lost.lost) == (2, 137, "frozen for 60 s", True)
    assert list(state.lost) == ["pi-2"]
    assert (state.shaped, state.restarted) == ({"server", "pi-1", "pi-2"}, {"pi-2"})
    assert (state.late_updates, len(state.deadlines)) == ({"pi-1": 1}, 1)
    assert state.link_backend == "netem, userspace"
    assert {name: agent.kernel for name, agent in state.agents.items()} == {"lab1": "6.1", "lab2": "5.15"}


def test_the_course_is_over_when_every_lab_host_has_said_so() -> None:
    state = CourseState({"lab1", "lab2"}).apply_all(LAB1)
    assert state.outcome is None
    assert state.unfinished == ["lab2"]
    assert state.apply_all(LAB2).outcome == Outcome("finished", t=14.0)
    assert CourseState().apply_all([*LAB1[:-2], *LAB2[:-1]]).outcome is None


@pytest.mark.parametrize("turned", [False, True])
def test_it_fails_with_the_first_lab_host_that_fails(turned: bool) -> None:
    failures = [
        e.CourseFailed("pi-2", "killed", ("x",), t=8.0, lab_host="lab2"),
        e.CourseFailed(None, "the course took longer than 9 s", t=9.0, lab_host="lab3"),
    ]
    streams = [LAB1, *([failure] for failure in failures)]
    state = CourseState().apply_all(itertools.chain(*(reversed(streams) if turned else streams)))
    assert state.outcome == Outcome("failed", "killed", "pi-2", ("x",), 8.0)
    assert (state.devices["pi-2"].state, state.devices["pi-2"].error) == ("failed", "killed")


def test_one_lab_host_need_not_be_named() -> None:
    state = CourseState({"local"}).apply_all(SERVER_HOST)
    assert (state.outcome, state.unfinished) == (Outcome("finished", t=14.0), [])
    assert CourseState().apply_all(SERVER_HOST).link_backend == "netem"
    assert CourseState().outcome is None


def test_a_restarted_agent_ends_the_course_as_it_sees_it() -> None:
    state = CourseState().apply_all([*SERVER_HOST, e.CourseFailed(None, "packets stopped", t=20.0)])
    assert state.outcome == Outcome("failed", "packets stopped", t=20.0)


def test_outcomes_survive_a_round_trip() -> None:
    outcome = Outcome("failed", "killed", "pi-2", ("x",))
    assert Outcome.parse(outcome.as_dict()) == outcome
    for garbage in (None, [], {}, {"status": "odd"}, {"status": []}):
        assert Outcome.parse(garbage) is None


def test_the_accuracy_is_that_of_test_data_first() -> None:
    assert accuracy_of({"val_acc": 0.5}) == 0.5
    assert accuracy_of({"val_acc": 0.5, "test_acc": 0.6}) == 0.6
    assert accuracy_of({"test_acc": "x"}) is None
    assert accuracy_of(None) is None


def test_of_what_several_lab_hosts_measured_of_one_direction_the_worst_counts() -> None:
    course = CourseState()

    def measured(lab_host: str, verdict: str) -> str | None:
        course.apply(e.LinkMeasured(device="eu - us", direction="up", verdict=verdict, lab_host=lab_host))
        return course.measured_links["eu - us", "up"].verdict

    assert measured("near", "out") == "out"
    assert measured("far", "within") == "out"
    assert measured("near", "within") == "within"
    assert measured("far", "undetermined") == "undetermined"
    assert measured("far", "within") == "within"
    assert not course.devices, "an edge is no device"


def test_what_several_lab_hosts_counted_of_one_direction_is_added_up() -> None:
    course = CourseState()
    counts = {"device": "pi-1", "direction": "up", "packets": 100, "lost": 2, "overflowed": 1, "bytes": 5_000}
    verdicts = {"rate_verdict": "undetermined", "loss_verdict": "within", "rate_bps": 7}
    near = e.LinkCounted(**counts, **verdicts, lab_host="near")
    far = e.LinkCounted(
        **counts, rate_bps=9, rate_verdict="within", loss_verdict="out", reason="2 lost", lab_host="far"
    )
    for event in (near, far):
        event.apply_to(course)
    found = course.counted_links["pi-1", "up"]
    assert (found.packets, found.lost, found.overflowed, found.bytes, found.rate_bps) == (200, 4, 2, 10_000, 9)
    assert (found.rate_verdict, found.loss_verdict, found.reason) == ("within", "out", "2 lost")
    both = [replace(one, reason="the loss varied") for one in (near, far)]
    (link,) = CourseState().apply_all(both).counted_links.values()
    assert link.reason == "the loss varied", "what both say is said once"
