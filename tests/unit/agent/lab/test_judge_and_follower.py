"""One course over two lab hosts: what one agent passes on, and what the other makes of it."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import pytest

from fedsim_runner.agent.course.limits import Limits
from fedsim_runner.agent.course.supervision import Supervisor
from fedsim_runner.agent.course.watch import Watch
from fedsim_runner.agent.lab import judge as judge_module
from fedsim_runner.agent.lab.clock import ClockOffset
from fedsim_runner.agent.lab.clock_client import ClockClient
from fedsim_runner.agent.lab.follower import Follower
from fedsim_runner.agent.lab.hub import Hub, Member
from fedsim_runner.agent.lab.judge import Judge
from fedsim_runner.agent.lab.uplink import Uplink
from fedsim_runner.agent.run_settings import RunSettings, read_run_settings
from fedsim_runner.contract import participant_events as reported
from fedsim_runner.contract.device_file import Lab, LabMember
from fedsim_runner.contract.events import Event

LAB = Lab(hosts=(LabMember("one", "127.0.0.1"), LabMember("two", "127.0.0.2")), server="one")
AHEAD_S = 100.0  # the server's clock
LIMITS = Limits(1000.0, 30.0)


class FakeHub:
    """What the judge has of the channel."""

    def __init__(self) -> None:
        self.inbox: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
        self.state: dict[str, Any] = {}
        self.member = Member(time.monotonic(), None, "life")

    def publish(self, state: dict[str, Any]) -> None:
        self.state = json.loads(json.dumps(state))

    def members(self) -> dict[str, Member]:
        return {"two": self.member}


class FakeUplink:
    """What the follower has of the channel: it ends in the hub."""

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub
        self.heard_at: float | None = None
        self.closed_at: float | None = None
        self.is_new_server = False

    def begin(self) -> None:
        self.heard_at = time.monotonic()

    def send(self, **message: Any) -> None:
        self.hub.inbox.put(("two", json.loads(json.dumps(message))))

    give_sign = send

    @property
    def state(self) -> dict[str, Any]:
        return self.hub.state


class FakeClock:
    latest: ClockOffset | None = ClockOffset(AHEAD_S, 0.001)


class FakeWatch:
    """What the judge has of the course on its own lab host."""

    supervisor: Supervisor | None = None

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit_all(self, events: Iterable[Event]) -> None:
        self.events += events

    def read(self, names: Iterable[str]) -> None:
        """Nothing is written here."""


class Course:
    """A server and a client ``a`` on lab host one, clients ``b`` and ``c`` on two."""

    def __init__(self, settings: dict[str, RunSettings], limits: Limits = LIMITS) -> None:
        self.hub, self.watch = FakeHub(), FakeWatch()
        self.uplink = FakeUplink(self.hub)
        self.recorded: list[Event] = []
        self.judge = Judge(LAB, cast(Hub, self.hub), lambda: cast(Watch, self.watch), self.recorded.append)
        make_clock: Callable[..., ClockClient] = lambda _: cast(ClockClient, FakeClock())  # noqa: E731
        self.follower = Follower(LAB, cast(Uplink, self.uplink), make_clock, lambda _: None)
        self.judged = self.watch.supervisor = self.judge.supervise(settings["one"], limits)
        self.followed = self.follower.supervise(settings["two"], limits)

    def tick(self) -> list[Event]:
        self.follower.tick()
        self.judge.tick()
        return self.followed.tick(time.monotonic())

    def report(self, device: str, event: reported.ParticipantEvent, t: float) -> None:
        assert list(self.followed.feed_report(device, reported.Reported(event, t), time.monotonic())) == []

    @property
    def names(self) -> list[str]:
        return [event.name for event in (*self.recorded, *self.watch.events)]


@pytest.fixture
def settings(tmp_path: Path, device_file: dict[str, Any]) -> dict[str, RunSettings]:
    names = [device["name"] for device in device_file["devices"]]
    first, second = names[:2], names[2:]
    found = {}
    for host, here, there in (("one", first, second), ("two", second, first)):
        content = json.loads(json.dumps(device_file))
        by_name = {device["name"]: device for device in content["devices"]}
        content["lab_host"] = host
        content["devices"] = [by_name[name] for name in here]
        elsewhere = "two" if host == "one" else "one"
        content["peers"] = {
            by_name[name]["address"]: {"device": name, "link": by_name[name]["link"], "lab_host": elsewhere}
            for name in there
        }
        content["clients"] = [name for name in names if by_name[name]["role"] == "client"]
        path = tmp_path / f"{host}.json"
        path.write_text(json.dumps(content))
        found[host] = read_run_settings(path)
    return found


@pytest.fixture
def course(settings: dict[str, RunSettings]) -> Course:
    return Course(settings)


def others(settings: dict[str, RunSettings]) -> list[str]:
    return list(settings["two"].roles)


def test_reports_reach_the_judge_with_times_of_its_clock(course: Course, settings: dict[str, RunSettings]) -> None:
    name = others(settings)[0]
    course.followed.feed_loading(name)
    course.report(name, reported.Ready(), 5.0)
    course.followed.feed_log(name, "a line", time.monotonic())
    course.followed.feed_activity(name, '{"t": 5.0, "what": "train", "round": 0}', time.monotonic())
    course.tick()
    assert course.judged.states[name] == course.followed.states[name] == "ready"
    ready = next(event for event in course.watch.events if event.name == "device_ready")
    assert ready.t == 5.0 + AHEAD_S
    assert course.judged.live_state(name) == "ready"
    course.judged.open(time.monotonic())
    assert course.judged.live_state(name) == "training"


def test_the_gate_opens_at_one_time_once_all_have_loaded(course: Course) -> None:
    assert course.judge.gate_time() is None
    assert course.judge.gate_time() is None
    assert course.names == ["awaiting_lab_hosts"]
    assert course.follower.gate_time() is None
    course.tick()
    at = course.judge.gate_time()
    assert at is not None
    assert at > time.time()
    there = course.follower.gate_time()
    assert there is not None
    assert there == pytest.approx(at - AHEAD_S)
    course.judge.opened(at)
    course.follower.opened(there + 0.02)
    course.tick()
    (measured,) = [event for event in course.recorded if event.name == "gate_measured"]
    assert measured.as_dict()["skew_s"] == pytest.approx(0.02)
    assert measured.as_dict()["bound_s"] == 0.001


def test_a_follower_whose_clock_is_unknown_says_so(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeClock, "latest", None)
    assert course.follower.gate_time() is None
    course.follower._silence_timeout_s = 0.0
    assert course.follower.gate_time() is None
    course.tick()
    outcome = course.judged.outcome
    assert outcome is not None
    assert "lab host two is lost: its clock cannot be compared with that of one" in str(outcome.reason)


def test_a_client_that_ends_fails_the_course_once_for_all(course: Course, settings: dict[str, RunSettings]) -> None:
    name = others(settings)[0]
    course.judged.open(time.monotonic())
    assert course.followed.feed_exit(name, 137, True, time.monotonic(), ["killed"]) == []
    received = course.tick()
    assert [event.name for event in received] == ["outcome_received"]
    assert course.names == ["device_exited", "course_failed"]
    assert course.followed.outcome == course.judged.outcome
    assert course.followed.outcome is not None
    assert course.followed.outcome.device == name
    assert course.tick() == []


def test_a_failure_of_a_lab_host_is_passed_on_once_with_its_name(course: Course) -> None:
    for _ in range(3):
        course.followed.fail(None, "no space left")
    assert course.hub.inbox.qsize() == 1
    course.tick()
    assert course.judged.outcome is not None
    assert course.judged.outcome.reason == "lab host two is lost: no space left"
    assert course.names == ["lab_host_lost", "course_failed"]


def go_on(settings: dict[str, RunSettings], min_clients: int = 1) -> Course:
    course = Course(settings, Limits(1000.0, 30.0, go_on=True, min_clients=min_clients))
    course.judged.open(time.monotonic())
    return course


def silence(course: Course, seconds: float) -> None:
    course.hub.member = Member(time.monotonic() - seconds, None, "life")
    course.judge._began -= seconds


def test_a_lost_lab_host_loses_its_devices_and_the_course_goes_on(settings: dict[str, RunSettings]) -> None:
    course = go_on(settings)
    silence(course, settings["one"].silence_timeout_s + 1)
    lost = course.tick()
    assert course.judged.outcome is None
    assert course.names == ["lab_host_lost", *["client_lost"] * len(others(settings))]
    assert set(course.judged.lost) == set(others(settings))
    assert all("lab host two is lost: its agent has given no sign" in why for why in course.judged.lost.values())
    # Once it is back, it learns that its devices are lost.
    assert [event.name for event in lost] == ["client_lost"] * len(others(settings))
    assert set(course.followed.lost) == set(others(settings))
    course.tick()
    assert course.names.count("lab_host_lost") == 1


def test_a_lab_host_that_cannot_go_on_is_lost_and_the_course_goes_on(settings: dict[str, RunSettings]) -> None:
    course = go_on(settings)
    course.followed.fail(None, "the Docker Engine was restarted")
    course.tick()
    assert course.judged.outcome is None
    assert set(course.judged.lost.values()) == {"lab host two is lost: the Docker Engine was restarted"}
    silence(course, settings["one"].silence_timeout_s + 1)
    course.tick()
    assert course.names.count("lab_host_lost") == 1


@pytest.mark.parametrize(("continues", "min_clients"), [(False, 1), (True, 2)])
def test_a_lost_lab_host_fails_a_course_that_cannot_go_on(
    settings: dict[str, RunSettings], continues: bool, min_clients: int
) -> None:
    course = go_on(settings, min_clients) if continues else Course(settings)
    silence(course, settings["one"].silence_timeout_s + 1)
    course.tick()
    outcome = course.judged.outcome
    assert outcome is not None
    assert outcome.device is None
    assert str(outcome.reason).startswith("lab host two is lost: its agent has given no sign of life for ")
    assert course.names == ["lab_host_lost", "course_failed"]


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (Member(time.monotonic(), time.monotonic() - judge_module.CLOSED_S - 1, "life"), "its agent has ended"),
        (Member(time.monotonic(), None, "another"), "its agent was restarted"),
    ],
)
def test_an_agent_that_ended_is_not_waited_for(settings: dict[str, RunSettings], member: Member, reason: str) -> None:
    course = go_on(settings)
    course.hub.member = member
    course.tick()
    assert [event.as_dict()["reason"] for event in course.recorded] == [reason]


def test_nobody_is_blamed_for_silence_whose_lab_host_is_not_heard(settings: dict[str, RunSettings]) -> None:
    course = go_on(settings)
    begun = time.monotonic()
    for name in settings["one"].everyone:
        course.judged.feed_event(name, reported.Ready(), begun)
    for name in [name for name, role in settings["one"].roles.items() if role == "client"]:
        course.judged.feed_event(name, reported.Joined(client_id=1), begun)
    course.judged.feed_unheard(others(settings))
    assert course.judged.tick(begun + 40.0) == []
    course.judged.feed_unheard(())
    assert [event.name for event in course.judged.tick(begun + 40.0)] == ["client_lost"]


@pytest.mark.parametrize("cause", ["silent", "ended", "anew"])
def test_a_follower_that_is_cut_off_ends_its_part(course: Course, settings: dict[str, RunSettings], cause: str) -> None:
    course.tick()
    now = time.monotonic()
    match cause:
        case "silent":
            now += settings["two"].silence_timeout_s + 1
        case "ended":
            course.uplink.closed_at, now = now, now + 6.0
        case "anew":
            course.uplink.is_new_server = True
    (event,) = course.followed.tick(now)
    assert event.name == "lab_host_cut_off"
    assert "lab host one, which carries the server" in str(event.as_dict()["reason"])
    assert course.followed.outcome is not None
    assert course.followed.outcome.status == "failed"


def test_what_is_reported_after_a_loss_no_longer_counts(settings: dict[str, RunSettings]) -> None:
    course = go_on(settings)
    silence(course, settings["one"].silence_timeout_s + 1)
    course.tick()
    course.report(others(settings)[0], reported.Ready(), 5.0)
    course.tick()
    assert "device_ready" not in course.names


def test_states_that_events_wait_for_are_known_on_all_lab_hosts(course: Course) -> None:
    course.hub.state = {"round": 3, "rounds_done": 2, "devices": {"server": ["training", "sending", True]}}
    assert (course.followed.round, course.followed.rounds_done) == (3, 2)
    assert course.followed.states["server"] == "training"
    assert course.followed.live_state("server") == "sending"
    assert course.followed.has_joined("server")
