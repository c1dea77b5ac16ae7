"""Following a timeline: what is done when, what is said of it, and what a later agent takes over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.agent.links.deviation import Deviation
from fedsim_runner.agent.links.in_force.live_changes import LiveChange
from fedsim_runner.agent.links.link_errors import LinkError
from fedsim_runner.agent.links.shaping.results import Result
from fedsim_runner.agent.run_settings import RunSettings, read_run_settings
from fedsim_runner.agent.timeline import timeline
from fedsim_runner.agent.timeline.devices import DeviceError
from fedsim_runner.agent.timeline.timeline import Timeline
from fedsim_runner.contract.events import Event, EventBegun, EventEnded, EventFailed
from fedsim_runner.contract.paths import StateFolder
from fedsim_runner.contract.timeline import LinkChange, TimelineEntry

pytestmark = pytest.mark.lengthy
PHONE, PI = "smartphone-high", "raspberry-pi"


class FakeLinks:
    """Keeps deviations; ``broken``: why no link can be changed."""

    def __init__(self) -> None:
        self.deviation = Deviation()
        self.history: list[Deviation] = []
        self.backend: str | None = "netem"
        self.unshaped: str | None = None
        self.broken: str | None = None
        self.ahead_s: list[float] = []  # how long before each change is due it was prepared
        self.gone: str | None = None  # why none can be changed that was prepared
        self.may_look = threading.Event()
        self.may_look.set()

    def change(self, update: Callable[[Deviation], Deviation]) -> dict[str, Result]:
        return self.begin_change(update, time.monotonic()).complete()

    def begin_change(self, update: Callable[[Deviation], Deviation], due_s: float) -> LiveChange:
        if self.broken is not None:
            raise LinkError(self.broken)
        self.deviation = update(self.deviation)
        self.history.append(self.deviation)
        self.ahead_s.append(due_s - time.monotonic())

        def finish() -> dict[str, Result]:
            self.may_look.wait()
            return {PHONE: Result(changed=True, found="up as asked", late_s=0.003)}

        def see() -> None:
            if self.gone is not None:
                raise LinkError(self.gone)

        return LiveChange(see, finish)


class FakeDevices:
    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []
        self.ended: set[str] = set()

    def look_up(self, names: Iterable[str]) -> None:
        pass

    def freeze(self, names: Iterable[str], frozen: bool) -> dict[str, str]:
        names = list(names)
        self.done += [("freeze" if frozen else "thaw", name) for name in names if name not in self.ended]
        return {name: f"{name} is not running" for name in names if name in self.ended}

    def frozen(self, names: Iterable[str], wanted: bool) -> dict[str, str]:
        return dict.fromkeys(names, "frozen" if wanted else "thawed")

    def runs(self, name: str) -> bool:
        return name not in self.ended

    def kill(self, name: str) -> str:
        self.done.append(("kill", name))
        return "SIGKILL sent"

    def restart(self, name: str) -> str:
        if name in self.ended:
            raise DeviceError("the Engine is busy")
        self.done.append(("restart", name))
        return "restarted"


class Course:
    """What the supervisor knows."""

    def __init__(self) -> None:
        self.round = 0
        self.states = {"server": "training", PHONE: "joined", PI: "joined"}

    def live_state(self, device: str) -> str:
        return self.states[device]

    def has_joined(self, device: str) -> bool:
        return self.states.get(device) != "ready"


class Bench:
    def __init__(self, state: StateFolder) -> None:
        self.path = state.timeline
        self.path.parent.mkdir(exist_ok=True)
        self.settings: RunSettings = read_run_settings(state.device_file)
        self.links, self.devices = FakeLinks(), FakeDevices()
        self.events: list[Any] = []
        self.announced: list[set[str]] = []
        self.lost: set[str] = set()
        self.course = Course()
        self.timelines: list[Timeline] = []

    def follow(
        self,
        *entries: TimelineEntry,
        ago_s: float = 0.0,
        resume: bool = False,
        answers_s: Mapping[str, int] | None = None,
    ) -> Timeline:
        parts: Any = self.links, self.devices
        made = Timeline(
            *parts, self.path, self.record, lambda names: self.announced.append(set(names)), lambda: self.lost
        )
        self.timelines.append(made)
        settings = replace(self.settings, timeline=entries, answers_s=answers_s or {})
        if resume:
            made.resume(settings)
        made.open(time.time() - ago_s, settings, self.course)
        return made

    def record(self, event: Event) -> None:
        self.events.append(event)

    def said(self, count: int) -> list[tuple[str, int]]:
        until = time.monotonic() + 10.0
        while len(self.events) < count and time.monotonic() < until:
            time.sleep(0.005)
        assert len(self.events) >= count, self.events
        return [(event.name, event.number) for event in self.events]


@pytest.fixture
def bench(state: StateFolder) -> Any:
    made = Bench(state)
    yield made
    for one in made.timelines:
        one.stop()


def at(seconds: float, number: int = 1, devices: tuple[str, ...] = (PHONE,), **what: Any) -> TimelineEntry:
    return TimelineEntry(number=number, devices=devices, at_s=seconds, **what)


SLOW = LinkChange(rate_bps=100_000)


def test_entries_begin_at_their_time_and_end_after_their_duration(bench: Bench) -> None:
    began = time.time()
    bench.follow(at(0.3, 2, action="offline", devices=(PI,)), at(0.1, up=SLOW, duration_s=0.4))
    said = bench.said(3)
    assert said == [("event_begun", 1), ("event_begun", 2), ("event_ended", 1)]
    first, _, last = bench.events
    assert isinstance(first, EventBegun) and isinstance(last, EventEnded)
    assert first.due == pytest.approx(began + 0.1, abs=0.05) and last.due == pytest.approx(began + 0.5, abs=0.05)
    assert (first.devices, first.what) == ((PHONE,), "up 100 kbit/s") and first.late_s == 0.003, (
        "what the back end says"
    )
    assert first.found == f"{PHONE}: up as asked"
    rates = [{name: links.up.rate_bps for name, links in one.links.items()} for one in bench.links.history]
    assert rates == [{PHONE: 100_000}, {PHONE: 100_000}, {}]
    assert [set(one.offline) for one in bench.links.history] == [set(), {PI}, {PI}]
    assert bench.announced == [{PI}]
    assert bench.timelines[0].changed == {(PHONE, "up")}


def test_a_device_that_has_ended_is_said_to_have(bench: Bench) -> None:
    bench.devices.ended.add(PI)
    bench.follow(at(0.1, devices=(PHONE, PI), up=SLOW))
    bench.said(1)
    assert bench.events[0].found == f"{PHONE}: up as asked; {PI}: has ended"


def test_a_change_of_links_is_prepared_before_its_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "AHEAD_S", 10.0)
    bench.follow(at(0.5, 2, down=SLOW), at(0.4, up=SLOW), at(0.45, 3, action="freeze"))
    assert bench.said(3) == [("event_begun", 1), ("event_begun", 3), ("event_begun", 2)]
    assert len(bench.links.ahead_s) == 2 and min(bench.links.ahead_s) > 0
    assert time.time() >= bench.events[-1].due, "but it does not begin before"


def test_an_entry_waits_for_its_round_and_only_then_is_the_server_read_often(bench: Bench) -> None:
    course = Course()
    followed = bench.follow(TimelineEntry(number=1, devices=(PHONE,), round=2, down=SLOW))
    assert followed.awaited == {"server"}
    followed.look(course)
    course.round = 2
    followed.look(course)
    assert bench.said(1) == [("event_begun", 1)]
    assert followed.awaited == set()
    followed.look(course)
    assert len(bench.links.history) == 1


def test_a_link_is_cut_once_its_device_has_joined(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "JOINING_S", 0.2)
    bench.course.states[PI] = "ready"
    followed = bench.follow(at(0.0, action="offline", devices=(PI,)), at(0.1, 2, action="offline"))
    bench.said(2)
    assert bench.announced[-1] == {PI, PHONE}, "the server is not to ask it"
    assert bench.links.deviation.offline == {PHONE}
    assert bench.events[0].found == f"{PI}: its link is cut once it has joined"
    followed.look(bench.course)
    bench.course.states[PI] = "joined"
    followed.look(bench.course)
    assert bench.links.deviation.offline == {PHONE}, "what belongs to joining is still under way"
    time.sleep(0.25)
    followed.look(bench.course)
    assert bench.links.deviation.offline == {PHONE, PI}


def test_joining_takes_as_long_as_the_devices_own_link(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "JOINING_S", 0.1)
    bench.course.states |= {PI: "ready", PHONE: "ready"}
    followed = bench.follow(at(0.0, action="offline", devices=(PI, PHONE)), answers_s={PI: 30})
    bench.said(1)
    bench.course.states |= {PI: "joined", PHONE: "joined"}
    followed.look(bench.course)
    time.sleep(0.15)
    followed.look(bench.course)
    assert bench.links.deviation.offline == {PHONE}


def test_a_device_that_is_online_again_before_it_has_joined_is_never_cut(bench: Bench) -> None:
    bench.course.states[PI] = "ready"
    followed = bench.follow(at(0.0, action="offline", devices=(PI,), duration_s=0.1))
    bench.said(2)
    bench.course.states[PI] = "joined"
    followed.look(bench.course)
    assert bench.announced == [{PI}, set()]
    assert all(not one.offline for one in bench.links.history)


def test_a_failure_is_named_and_the_others_follow(bench: Bench) -> None:
    bench.links.broken = "the run's network is gone"
    bench.devices.ended.add(PI)
    bench.follow(at(0.0, up=SLOW), at(0.0, 2, (PI, PHONE), action="freeze"), at(0.0, 3, action="freeze"))
    bench.said(3)
    failed = [event.reason for event in bench.events if isinstance(event, EventFailed)]
    assert failed == ["the run's network is gone", f"{PI} is not running"]
    assert bench.devices.done[0] == ("freeze", PHONE)


def test_a_change_whose_network_is_gone_at_its_time_is_not_looked_at(bench: Bench) -> None:
    bench.links.gone = "the run's network is gone"
    bench.links.may_look.clear()
    bench.follow(at(0.0, up=SLOW))
    assert bench.said(1) == [("event_failed", 1)] and bench.events[0].reason == "the run's network is gone"
    bench.links.may_look.set()


def test_the_end_of_what_could_not_begin_is_no_failure_of_its_own(bench: Bench) -> None:
    bench.devices.ended.add(PI)
    bench.follow(
        at(0.0, 1, (PI,), action="freeze", duration_s=0.05),
        at(0.0, 2, action="freeze", duration_s=0.05),
        at(0.2, 3, action="partition"),
    )
    assert sorted(bench.said(4)) == [("event_begun", 2), ("event_begun", 3), ("event_ended", 2), ("event_failed", 1)]


def test_links_that_nothing_shapes_cannot_be_changed_but_cut(bench: Bench) -> None:
    bench.links.backend, bench.links.unshaped = None, "this kernel has nothing"
    bench.follow(at(0.0, up=SLOW), at(0.0, 2, action="partition"))
    assert sorted(bench.said(2)) == [("event_begun", 2), ("event_failed", 1)]
    assert bench.events[0].reason == "no link is shaped here: this kernel has nothing"


def test_frozen_devices_go_on_when_it_is_over(bench: Bench) -> None:
    followed = bench.follow(at(0.0, 1, (PHONE, PI), action="freeze"), at(0.1, 2, (PI,), action="thaw"))
    bench.said(2)
    assert followed.frozen == {PHONE}
    followed.stop()
    assert bench.devices.done == [("freeze", PI), ("freeze", PHONE), ("thaw", PI), ("thaw", PHONE)]


def test_a_client_that_is_killed_for_a_while_is_away_until_it_has_joined_again(bench: Bench) -> None:
    course = Course()
    followed = bench.follow(at(0.0, action="kill", duration_s=0.2))
    bench.said(1)
    assert bench.devices.done == [("freeze", PHONE), ("kill", PHONE)]
    assert followed.takes_end(PHONE) and not followed.takes_end(PHONE)
    assert followed.away == {PHONE} and bench.announced == [{PHONE}]
    bench.devices.ended.add(PHONE)  # nothing is left to be frozen
    bench.devices.ended.clear()
    assert bench.said(2)[-1] == ("event_ended", 1)
    assert bench.devices.done[-1] == ("restart", PHONE)
    followed.look(course)
    assert followed.away == {PHONE}  # its state is that of its former life
    assert followed.on_started(PHONE) and not followed.on_started(PI)
    course.states[PHONE] = "starting"
    followed.look(course)
    assert followed.away == {PHONE}
    course.states[PHONE] = "joined"
    assert followed.look(course) == {}
    assert followed.away == set() and bench.announced == [{PHONE}, set()]


def test_many_are_started_anew_side_by_side(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2)  # the first restart ends only once the second has begun

    def restart(name: str) -> str:
        both.wait(10)
        return "restarted"

    monkeypatch.setattr(bench.devices, "restart", restart)
    bench.follow(at(0.0, 1, (PI, PHONE), action="restart"))
    assert bench.said(1) == [("event_begun", 1)] and both.broken is False
    assert [part.partition(":")[0] for part in bench.events[0].found.split("; ")] == sorted([PHONE, PI])


def test_a_client_that_is_killed_for_good_has_crashed(bench: Bench) -> None:
    followed = bench.follow(at(0.0, action="kill"))
    bench.said(1)
    assert not followed.takes_end(PHONE) and followed.away == set()


def test_a_lost_client_does_not_come_back_and_one_that_cannot_start_is_named(bench: Bench) -> None:
    bench.lost.add(PI)
    bench.devices.ended.add(PHONE)
    followed = bench.follow(at(0.0, 1, (PI, PHONE), action="restart"))
    assert bench.said(1) == [("event_failed", 1)]
    assert bench.events[0].reason == f"{PI} has been lost, and its server takes no lost client back; the Engine is busy"
    assert followed.look(Course()) == {PHONE: "the Engine is busy"} and followed.look(Course()) == {}


def test_a_later_agent_goes_on_where_the_first_one_ended(bench: Bench, tmp_path: Path) -> None:
    entries = (
        at(0.0, 1, up=SLOW, duration_s=60.0),
        at(0.0, 2, (PI,), action="offline", duration_s=0.5),
        at(60.0, 3, up=SLOW),
        TimelineEntry(number=4, devices=(PHONE,), round=9, up=SLOW),
    )
    first = bench.follow(*entries)
    bench.said(2)
    first.stop()
    bench.links, bench.events = FakeLinks(), []
    second = bench.follow(*entries, ago_s=0.6, resume=True)
    assert set(bench.links.history[0].links) == {PHONE} and bench.links.history[0].offline == {PI}
    assert bench.said(1) == [("event_ended", 2)]
    assert second.awaited == {"server"}


def test_what_is_due_next_does_not_wait_until_the_last_change_was_looked_at(bench: Bench) -> None:
    bench.links.may_look.clear()
    bench.follow(at(0.1, up=SLOW), at(0.2, 2, down=SLOW, duration_s=0.1), at(0.25, 3, (PI,), action="offline"))
    until = time.monotonic() + 10.0
    while len(bench.links.history) < 4 and time.monotonic() < until:
        time.sleep(0.005)
    assert len(bench.links.history) == 4 and bench.announced == [{PI}] and bench.events == []
    bench.links.may_look.set()
    assert bench.said(4) == [("event_begun", 1), ("event_begun", 2), ("event_begun", 3), ("event_ended", 2)]


def test_a_second_kill_meanwhile_fails_and_takes_nothing_back(bench: Bench) -> None:
    followed = bench.follow(
        at(0.0, 1, action="kill", duration_s=0.6),
        at(0.1, 2, action="kill", duration_s=0.1),
        at(0.7, 3, action="restart"),
    )
    assert bench.said(4) == [("event_begun", 1), ("event_failed", 2), ("event_ended", 1), ("event_begun", 3)]
    assert (bench.events[1].devices, bench.events[1].reason) == ((PHONE,), f"{PHONE} is not running")
    done = [what for what, _ in bench.devices.done]
    assert (done.count("kill"), done.count("restart")) == (1, 2)
    assert followed.away == {PHONE} and followed.look(Course()) == {}, "it is not lost"


def test_a_client_that_was_started_anew_meanwhile_goes_on_when_its_kill_is_over(bench: Bench) -> None:
    followed = bench.follow(at(0.0, 1, action="kill", duration_s=0.5), at(0.1, 2, action="restart"))
    bench.said(2)
    followed.on_started(PHONE)
    assert bench.said(3)[-1] == ("event_ended", 1)
    assert [what for what, _ in bench.devices.done].count("restart") == 1


def test_a_lost_client_is_not_killed_and_its_start_is_no_failure_of_its_own(bench: Bench) -> None:
    bench.devices.ended.add(PHONE)
    bench.lost.add(PHONE)
    bench.follow(at(0.0, 1, action="kill", duration_s=0.1), at(0.3, 2, (PI,), action="freeze"))
    assert bench.said(2) == [("event_failed", 1), ("event_begun", 2)]
