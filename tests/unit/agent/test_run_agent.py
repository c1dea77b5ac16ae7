"""The agent with a fake Engine and a fake kernel: links, gate and containers together, driven by ctl's commands."""

from __future__ import annotations

import pytest

from fedsim_runner.agent import commands
from fedsim_runner.contract.paths import StateFolder

from .fake_engine import OTHER_PID, FakeEngine, begin, journal, wait_for
from .links.fake_kernel import FakeKernel


def test_the_gate_opens_only_after_the_links_and_shuts_for_later_starters(
    kernel: FakeKernel, state: StateFolder, engine: FakeEngine
) -> None:
    agent = begin(state, engine)
    names = sorted(engine.pids)
    assert journal(state)[0]["backend"] == "netem"
    assert commands.answer(agent, "status", {})["state"] == "provisioned"
    with pytest.raises(RuntimeError, match=f"links are not in force on: {', '.join(names)}"):
        commands.answer(agent, "gate-open", {})
    checked = commands.answer(agent, "links-apply", {"check": True})
    assert checked["changed"] and not kernel.qdiscs
    assert commands.answer(agent, "links-apply", {})["backend"] == "netem"
    assert kernel.qdiscs
    assert commands.answer(agent, "gate-open", {"open_at": 12.0}) == {"changed": True}
    assert commands.answer(agent, "gate-open", {}) == {"changed": False}
    assert state.gate_open.exists()

    # A client ends: the gate shuts, and opens again when its new interface is shaped.
    client = next(name for name in names if name != "server")
    engine.pids[client] = 0
    agent.docker_event(engine.event("die", client, exitCode="3"))
    assert not state.gate_open.exists()
    assert commands.answer(agent, "status", {})["devices"][client]["exit_code"] == 3
    engine.pids[client] = OTHER_PID
    kernel.qdiscs.clear()
    agent.docker_event(engine.event("start", client))
    wait_for(lambda: any(event["event"] == "link_reapplied" for event in journal(state)))
    assert kernel.qdiscs
    agent.close()


def test_an_agent_resumes_what_an_earlier_one_left(kernel: FakeKernel, state: StateFolder, engine: FakeEngine) -> None:
    first = begin(state, engine)
    commands.answer(first, "links-apply", {})
    commands.answer(first, "gate-open", {"open_at": 12.0})
    first.close()
    state.gate_open.unlink()
    second = begin(state, engine)
    assert state.gate_open.exists()
    assert commands.answer(second, "gate-open", {}) == {"changed": False}
    assert commands.answer(second, "status", {})["state"] == "running"
    second.close()


def test_ctl_refuses_unknown_commands(kernel: FakeKernel, state: StateFolder, engine: FakeEngine) -> None:
    agent = begin(state, engine)
    with pytest.raises(ValueError, match="no command 'dance': probe, links-apply, gate-open, status, packets, stop"):
        commands.answer(agent, "dance", {})
    assert commands.answer(agent, "packets", {}) == {}
    assert commands.answer(agent, "probe", {})["netem"] is True
    assert commands.answer(agent, "stop", {}) == {"stopping": True} and agent.stopping.is_set()
    agent.close()
