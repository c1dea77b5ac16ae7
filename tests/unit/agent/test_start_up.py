"""An agent's start-up of a course: waves, failures and a restart, with a fake Engine and a fake kernel."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fedsim_runner.agent import commands
from fedsim_runner.agent.course import admission, loading
from fedsim_runner.agent.host.cpu_lift import CpuLift
from fedsim_runner.agent.run_agent import LOADING_TICK_S, TICK_S, Agent
from fedsim_runner.contract.course_state import CourseState
from fedsim_runner.contract.events import parse
from fedsim_runner.contract.paths import StateFolder

from .fake_engine import FakeEngine, begin, journal, open_gate, report_ready, wait_for
from .links.fake_kernel import FakeKernel

pytestmark = pytest.mark.lengthy


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch: pytest.MonkeyPatch, kernel: FakeKernel) -> None:
    monkeypatch.setattr(loading, "PER_CORE", 1)
    monkeypatch.setattr(loading.os, "sched_getaffinity", lambda _: {0})


@pytest.fixture(autouse=True)
def without_cgroups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CpuLift, "lift", lambda *_: None)
    monkeypatch.setattr(CpuLift, "restore", lambda *_: None)


@pytest.fixture
def agent(state: StateFolder, engine: FakeEngine) -> Agent:
    started = begin(state, engine)
    commands.answer(started, "links-apply", {})
    return started


def admitted(state: StateFolder) -> set[str]:
    return {path.name for path in state.gate_load.iterdir()} if state.gate_load.exists() else set()


def named(state: StateFolder, *names: str) -> list[dict[str, Any]]:
    return [event for event in journal(state) if event["event"] in names]


def test_participants_load_one_after_another_and_then_the_gate_opens(
    agent: Agent, state: StateFolder, engine: FakeEngine
) -> None:
    names = list(engine.pids)
    assert agent.pause_s == TICK_S
    assert commands.answer(agent, "gate-open", {}) == {"changed": True}
    assert commands.answer(agent, "gate-open", {}) == {"changed": False}, "it opens by itself"
    assert agent.pause_s == LOADING_TICK_S
    for number, name in enumerate(names, 1):
        agent.load()
        assert admitted(state) == set(names[:number])
        assert not state.gate_open.exists()
        status = commands.answer(agent, "status", {})
        assert (status["state"], status["devices"][name]["state"]) == ("loading", "loading")
        report_ready(state, name)
    assert status["counts"] == {"ready": len(names) - 1, "loading": 1}
    agent.load()
    assert state.gate_open.exists()
    assert commands.answer(agent, "status", {})["state"] == "running"
    kinds = [event["event"] for event in journal(state)]
    start = kinds.index("loading_started")
    assert kinds[start:] == ["loading_started", *["device_loading", "device_ready"] * len(names), "gate_opened"]
    assert journal(state)[start]["devices"] == len(names)
    assert agent.pause_s == TICK_S
    agent.close()


def test_a_gate_that_opens_at_an_agreed_time_opens_then(agent: Agent, state: StateFolder, engine: FakeEngine) -> None:
    open_gate(agent, state, engine, open_at=9e9)
    assert json.loads(state.gate_open.read_text()) == {"open_at": 9e9}
    assert named(state, "gate_opened")[0]["open_at"] == 9e9
    agent.close()


def test_a_device_that_ends_while_others_load_fails_the_course(
    agent: Agent, state: StateFolder, engine: FakeEngine
) -> None:
    agent.open_gate(None)
    agent.docker_event(engine.end("raspberry-pi", 9))
    wait_for(lambda: bool(named(state, "course_failed")))
    (failed,) = named(state, "course_failed")
    assert failed["device"] == "raspberry-pi"
    assert failed["reason"].startswith("before the gate opened: ended with exit code 9")
    report_ready(state, *engine.pids)
    agent.load()
    assert not state.gate_open.exists()
    assert commands.answer(agent, "status", {})["reason"] == failed["reason"]
    agent.close()


def test_a_device_that_never_gets_ready_fails_the_course(
    agent: Agent, state: StateFolder, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "LEAST_LIMIT_S", 0.0)
    monkeypatch.setattr(admission, "LIMIT_FACTOR", 0.0)
    agent.open_gate(None)
    agent.load()
    (failed,) = named(state, "course_failed")
    assert (failed["device"], failed["reason"]) == ("server", "did not load its engine within 0 s")
    agent.close()


def test_limits_that_cannot_be_lifted_are_reported_once_and_give_more_time(
    agent: Agent, state: StateFolder, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "LEAST_LIMIT_S", 0.0)
    monkeypatch.setattr(admission, "LIMIT_FACTOR", 0.0)
    monkeypatch.setattr(CpuLift, "lift", lambda *_: "cpu.max: Read-only file system")
    open_gate(agent, state, engine)
    (said,) = named(state, "agent_cannot_write")
    assert said["reason"] == "devices load within their CPU limits, which takes longer: cpu.max: Read-only file system"
    agent.close()


def test_a_limit_that_cannot_be_restored_fails_the_course(
    agent: Agent, state: StateFolder, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CpuLift, "restore", lambda *_: "cpu.max has max, not 1000")
    agent.open_gate(None)
    report_ready(state, "server")
    agent.load()
    (failed,) = named(state, "course_failed")
    assert failed["reason"] == "its CPU limit could not be restored: cpu.max has max, not 1000"
    assert admitted(state) == {"server"}
    agent.close()


def test_an_agent_continues_what_an_earlier_one_began(
    agent: Agent, state: StateFolder, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = list(engine.pids)
    agent.open_gate(9e9)
    report_ready(state, names[0])
    agent.load()
    agent.close()
    restored: list[str] = []
    monkeypatch.setattr(CpuLift, "restore", lambda _, name, *__: restored.append(name))
    second = begin(state, engine)
    assert restored == names, "whatever was lifted when the first one ended"
    assert commands.answer(second, "gate-open", {}) == {"changed": False}
    assert commands.answer(second, "status", {})["devices"][names[0]]["state"] == "ready"
    report_ready(state, *names[1:])
    for _ in names:
        second.load()
    assert json.loads(state.gate_open.read_text()) == {"open_at": 9e9}
    assert len(named(state, "loading_started")) == 1
    second.close()


def test_the_journal_tells_how_many_have_loaded(agent: Agent, state: StateFolder, engine: FakeEngine) -> None:
    names = list(engine.pids)
    agent.open_gate(None)
    report_ready(state, *names[:2])
    agent.load()
    agent.load()
    course = CourseState().apply_all(event for line in journal(state) if (event := parse(line)) is not None)
    assert course.loaded == (2, len(names))
    assert course.loading_began is not None and course.gate_opened is None
    agent.close()
