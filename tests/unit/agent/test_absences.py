"""Who is offline, and whose link may be cut by now."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedsim_runner.agent.course import absences
from fedsim_runner.agent.course.absences import Absences
from fedsim_runner.agent.course.gate_files import Gate
from fedsim_runner.agent.course.supervision import Limits, Supervisor
from fedsim_runner.contract import participant_events as reported
from fedsim_runner.contract.paths import StateFolder


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    found = StateFolder(tmp_path)
    found.gate.mkdir()
    return found


@pytest.fixture
def supervisor() -> Supervisor:
    roles = {"hub": "server", "a": "client", "b": "client"}
    return Supervisor(roles, 3, Limits(100, 10), 0.0)  # type: ignore[arg-type]


def test_participants_and_the_supervisor_are_informed(state: StateFolder, supervisor: Supervisor) -> None:
    offline = Absences(Gate(state), answer_s=0)
    supervisor.feed_event("a", reported.Joined(1), 1.0)
    offline.set({"b", "a", "far"}, supervisor)
    assert json.loads(state.gate_offline.read_text()) == ["a", "b", "far"]
    assert supervisor.live_state("a") == "offline"
    offline.set((), supervisor)
    assert json.loads(state.gate_offline.read_text()) == []
    assert supervisor.live_state("a") != "offline"


def test_another_agent_goes_on_from_the_file(state: StateFolder, supervisor: Supervisor) -> None:
    supervisor.feed_event("a", reported.Joined(1), 1.0)
    Absences(Gate(state), answer_s=0).set({"a"}, None)
    Absences(Gate(state), answer_s=0).resume(supervisor)
    assert supervisor.live_state("a") == "offline"
    Gate(state).forget_lost()
    assert Gate(state).offline() == frozenset()


def test_a_link_is_cut_once_its_device_has_joined(
    state: StateFolder, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 50.0
    monkeypatch.setattr(absences.time, "monotonic", lambda: now)
    offline = Absences(Gate(state), answer_s=2)
    assert offline.may_cut(["a", "b"], supervisor) == []
    supervisor.feed_event("a", reported.Joined(1), 1.0)
    assert offline.may_cut(["a", "b"], supervisor) == [], "what belongs to joining is still under way"
    now = 53.0
    assert offline.may_cut(["a", "b"], supervisor) == ["a"]
