"""A client that was given up stays out, also if somebody starts it again, and disturbs nobody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.agent import commands
from fedsim_runner.agent.links.run_links import RunLinks
from fedsim_runner.agent.run_agent import Agent
from fedsim_runner.contract.paths import StateFolder

from .fake_engine import FakeEngine, begin, journal, open_gate, report_ready, wait_for
from .links.fake_kernel import FakeKernel

pytestmark = pytest.mark.lengthy

LOST = "raspberry-pi"


def named(state: StateFolder, event: str) -> list[dict[str, Any]]:
    return [line for line in journal(state) if line["event"] == event]


@pytest.fixture
def agent(kernel: FakeKernel, state: StateFolder, engine: FakeEngine, device_file: dict[str, Any]) -> Agent:
    course = {**device_file["course"], "on_client_failure": "continue"}
    state.device_file.write_text(json.dumps({**device_file, "course": course}))
    agent = begin(state, engine)
    commands.answer(agent, "links-apply", {})
    return agent


def lose(agent: Agent, state: StateFolder, engine: FakeEngine) -> None:
    """End the client's process, and wait until it counts as lost."""
    agent.docker_event(engine.end(LOST))
    wait_for(lambda: [event["device"] for event in named(state, "client_lost")] == [LOST])


def test_a_lost_client_that_is_started_again_is_killed_and_not_connected(
    agent: Agent, kernel: FakeKernel, state: StateFolder, engine: FakeEngine
) -> None:
    open_gate(agent, state, engine)
    lose(agent, state, engine)
    before = len(journal(state))
    agent.docker_event(engine.start(LOST))
    wait_for(lambda: (f"id-{LOST}", "KILL") in engine.killed)
    assert not any(namespace == str(engine.pids[LOST]) for namespace, _ in kernel.links)
    agent.docker_event(engine.end(LOST, 137))
    agent.tick()
    assert [line["event"] for line in journal(state)[before:] if line.get("device") == LOST] in ([], ["device_exited"])
    assert not named(state, "course_failed")
    agent.close()


def test_a_lost_client_that_is_started_again_does_not_keep_the_gate_shut(
    agent: Agent, state: StateFolder, engine: FakeEngine
) -> None:
    agent.open_gate(None)
    lose(agent, state, engine)
    agent.docker_event(engine.start(LOST))
    wait_for(lambda: (f"id-{LOST}", "KILL") in engine.killed)
    report_ready(state, *(name for name in engine.pids if name != LOST))
    for _ in engine.pids:
        agent.load()
    assert state.gate_open.exists()
    assert not named(state, "course_failed")
    agent.close()


def test_a_client_that_ends_while_it_is_connected_again_is_only_lost(
    agent: Agent, state: StateFolder, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_gate(agent, state, engine)
    reapply = RunLinks.reapply

    def reapply_too_late(self: RunLinks, name: str, pid: int) -> str | None:
        return reapply(self, name, 2**22 + pid)  # no process has such a number

    monkeypatch.setattr(RunLinks, "reapply", reapply_too_late)
    assert not Path(f"/proc/{2**22 + engine.pids[LOST]}").exists()
    engine.pids[LOST] = 0
    agent.docker_event(engine.start(LOST))
    wait_for(lambda: len(named(state, "device_started")) > len(engine.pids))
    agent.docker_event(engine.end(LOST))
    wait_for(lambda: bool(named(state, "client_lost")))
    assert not named(state, "link_failed") and not named(state, "course_failed")
    agent.close()


def test_a_client_whose_link_cannot_be_shaped_again_is_lost(
    agent: Agent, kernel: FakeKernel, state: StateFolder, engine: FakeEngine
) -> None:
    open_gate(agent, state, engine)
    kernel.lacks += ("tc",)
    agent.docker_event(engine.start(LOST))
    wait_for(lambda: bool(named(state, "client_lost")))
    (lost,) = named(state, "client_lost")
    assert lost["device"] == LOST and lost["reason"].startswith("its link could not be shaped again: ")
    assert not named(state, "course_failed")
    agent.close()
