"""Steps that are prepared long before their time, and events that come before them."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from fedsim_runner.agent.links.deviation import Deviation
from fedsim_runner.agent.links.in_force.live_changes import LiveChange
from fedsim_runner.agent.links.in_force.prepared_steps import PreparedSteps
from fedsim_runner.agent.links.shaping.results import Result
from fedsim_runner.contract.link import Link, Links


def links(rate_bps: int) -> Links:
    return Links(Link(rate_bps), Link())


class Bench:
    """Stands for the links of a run: what was prepared for when, and what was taken for being in force."""

    def __init__(self) -> None:
        self.deviation = Deviation()
        self.begun: list[tuple[float, Deviation]] = []
        self.expected: list[Deviation] = []
        self.completed: list[int] = []
        self.steps = PreparedSteps(threading.RLock(), self.begin, self.expect)

    def begin(self, deviation: Deviation, due_s: float, reads_back: bool = True) -> LiveChange:
        self.deviation = deviation
        self.begun.append((due_s, deviation))
        number = len(self.begun)

        def finish() -> dict[str, Result]:
            self.completed.append(number)
            return {"a": Result(changed=True)}

        return LiveChange(finish=finish)

    def expect(self, deviation: Deviation) -> None:
        self.expected.append(deviation)

    def offline(self, due_s: float) -> LiveChange:
        return self.steps.begin_change(self.deviation, lambda now: replace(now, offline=frozenset("b")), due_s)


def test_an_event_takes_the_step_that_is_in_force_at_its_time() -> None:
    bench, now = Bench(), time.monotonic()
    for number in range(1, 4):
        bench.steps.begin_step(bench.deviation, {"a": links(number)}, now + 10 * number)
    bench.offline(now + 15)
    rates = [
        (due_s - now, one.varied["a"].up.rate_bps, bool(one.offline))
        for due_s, one in sorted(bench.begun, key=lambda one: one[0])
    ]
    assert [one for one in rates if one[2]] == [(15, 1, True), (20, 2, True), (30, 3, True)]
    assert [one.varied["a"].up.rate_bps for one in bench.expected] == [1]
    assert bench.deviation.varied["a"] == links(3) and bench.deviation.offline == {"b"}


def test_before_the_first_step_a_link_is_as_planned() -> None:
    bench, now = Bench(), time.monotonic()
    bench.steps.begin_step(bench.deviation, {"a": links(1)}, now + 20)
    bench.offline(now + 10)
    assert bench.expected == [Deviation()]
    assert bench.begun[1] == (now + 10, Deviation(offline=frozenset("b")))


def test_an_event_after_all_steps_has_none_prepared_again() -> None:
    bench, now = Bench(), time.monotonic()
    bench.steps.begin_step(bench.deviation, {"a": links(1)}, now + 10)
    bench.offline(now + 20)
    assert len(bench.begun) == 2 and bench.expected == []


def test_a_step_is_over_once_all_that_was_prepared_of_it_is_complete() -> None:
    bench, now = Bench(), time.monotonic()
    complete = bench.steps.begin_step(bench.deviation, {"a": links(1)}, now + 20)
    event = bench.offline(now + 10)
    event.complete()
    assert complete()["a"].changed and bench.completed == [2, 1, 3]
    bench.offline(now + 10)
    assert len(bench.begun) == 4, "one that is over is not prepared again"
