"""An Engine that answers late, or not at all: supervision goes on, and what is unknown is neither missing nor ended."""

from __future__ import annotations

from typing import Any

import pytest

from fedsim_runner.agent import commands, containers
from fedsim_runner.agent.host.docker_api import DockerError
from fedsim_runner.agent.run_agent import Agent
from fedsim_runner.contract.paths import StateFolder

from .fake_engine import FakeEngine, begin, journal, open_gate, wait_for
from .links.fake_kernel import FakeKernel

pytestmark = pytest.mark.lengthy


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch, kernel: FakeKernel) -> None:
    """Ask again without a pause."""
    monkeypatch.setattr(containers, "ASK_AGAIN_S", 0.0)
    monkeypatch.setattr(containers, "_PAUSE_S", 0.0)


def exits(state: StateFolder) -> list[dict[str, Any]]:
    return [event for event in journal(state) if event["event"] == "device_exited"]


def device(agent: Agent, name: str) -> dict[str, Any]:
    answer: dict[str, Any] = commands.answer(agent, "status", {})["devices"][name]
    return answer


def test_ticks_commands_and_exits_go_on_while_the_engine_thinks(state: StateFolder, engine: FakeEngine) -> None:
    agent = begin(state, engine)
    engine.answers.clear()
    agent.refresh()
    wait_for(lambda: engine.waiting == 1)
    agent.docker_event(engine.start("iot-minimal"))
    agent.docker_event(engine.end("raspberry-pi"))
    agent.tick()
    assert device(agent, "raspberry-pi")["exit_code"] == 3
    assert device(agent, "raspberry-pi")["state"] == "exited"
    assert exits(state) == []
    engine.answers.set()
    wait_for(lambda: len(exits(state)) == 2)
    assert {(event["device"], event["exit_code"]) for event in exits(state)} == {
        ("raspberry-pi", 3),
        ("iot-minimal", 137),
    }
    agent.close()


def test_a_container_without_an_answer_is_neither_missing_nor_ended(state: StateFolder, engine: FakeEngine) -> None:
    agent = begin(state, engine)
    commands.answer(agent, "links-apply", {})
    open_gate(agent, state, engine)
    engine.deaf.add("raspberry-pi")
    for _ in range(3):
        agent.refresh()
        agent.tick()
    agent.docker_event(engine.event("pause", "raspberry-pi"))
    with pytest.raises(DockerError, match="does not say in what state these devices are: raspberry-pi"):
        commands.answer(agent, "links-apply", {})
    agent.tick()
    assert device(agent, "raspberry-pi")["exit_code"] is None
    assert device(agent, "raspberry-pi")["state"] == "joining"
    assert exits(state) == []
    # It is asked for until there is an answer; a question under way at the first of these ticks is still a deaf one.
    engine.deaf.clear()

    def is_known_after_a_tick() -> bool:
        agent.tick()
        return not agent._containers.unknown

    wait_for(is_known_after_a_tick)
    assert commands.answer(agent, "links-apply", {})["backend"] == "netem"
    agent.close()


def test_the_gate_opens_only_if_it_is_known_what_runs(state: StateFolder, engine: FakeEngine) -> None:
    agent = begin(state, engine)
    commands.answer(agent, "links-apply", {})
    engine.deaf.add("raspberry-pi")
    with pytest.raises(DockerError, match="raspberry-pi"):
        commands.answer(agent, "gate-open", {})
    assert not state.gate_open.exists()
    agent.close()


def test_the_gate_stays_shut_for_others_while_a_restarted_device_is_unknown(
    state: StateFolder, engine: FakeEngine
) -> None:
    agent = begin(state, engine)
    commands.answer(agent, "links-apply", {})
    open_gate(agent, state, engine)
    agent.docker_event(engine.end("raspberry-pi"))
    engine.deaf.add("raspberry-pi")
    agent.docker_event(engine.start("raspberry-pi"))
    agent._gatekeeper.reopen()
    assert not state.gate_open.exists()
    agent.close()


def test_a_device_that_an_event_starts_anew_passes_the_gate(state: StateFolder, engine: FakeEngine) -> None:
    agent = begin(state, engine)
    commands.answer(agent, "links-apply", {})
    open_gate(agent, state, engine)
    agent._timeline._interruptions.resume(["raspberry-pi"])
    agent.docker_event(engine.end("raspberry-pi"))
    agent.docker_event(engine.start("raspberry-pi"))
    wait_for(state.gate_open.exists)
    agent.close()


def test_an_answer_does_not_overwrite_what_an_event_has_said_since(state: StateFolder, engine: FakeEngine) -> None:
    agent = begin(state, engine)
    engine.answers.clear()
    agent.refresh()  # this list will say that it runs
    wait_for(lambda: engine.waiting == 1)
    before = engine.pids["raspberry-pi"]
    agent.docker_event(engine.end("raspberry-pi"))
    wait_for(lambda: engine.waiting == 2)
    engine.pids["raspberry-pi"] = before  # and so will what is asked about its end
    engine.answers.set()
    wait_for(lambda: len(exits(state)) == 1)
    wait_for(lambda: not agent._containers._listing)
    assert "raspberry-pi" not in agent._containers.running_pids()
    assert exits(state)[0]["exit_code"] == 3
    agent.close()


def test_the_end_of_an_earlier_process_is_not_the_end_of_the_present_one(
    state: StateFolder, engine: FakeEngine
) -> None:
    agent = begin(state, engine)
    end = {**engine.end("raspberry-pi"), "timeNano": 1_767_225_600_500_000_000}  # half a second into 2026
    engine.start("raspberry-pi")
    agent._containers.refresh()
    wait_for(lambda: len(exits(state)) == 1)
    agent.docker_event(end)
    assert agent._containers.running_pids()["raspberry-pi"] == engine.pids["raspberry-pi"]
    agent.close()


def test_an_end_is_reported_even_if_the_engine_never_describes_it(
    state: StateFolder, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = begin(state, engine)
    commands.answer(agent, "links-apply", {})
    open_gate(agent, state, engine)
    engine.deaf.add("raspberry-pi")
    agent.docker_event(engine.end("raspberry-pi", 9))
    wait_for(lambda: len(exits(state)) == 1)
    assert exits(state)[0]["exit_code"] == 9
    failed = journal(state)[-1]
    assert failed["event"] == "course_failed"
    assert "the Docker Engine does not give its output" in failed["reason"]
    agent.close()


def test_what_ended_before_the_agent_came_is_told_only_to_a_course(state: StateFolder, engine: FakeEngine) -> None:
    engine.start("raspberry-pi")
    engine.end("raspberry-pi", 7)
    agent = begin(state, engine)
    agent._containers.refresh()
    assert exits(state) == []
    commands.answer(agent, "links-apply", {"devices": [name for name in engine.pids if name != "raspberry-pi"]})
    commands.answer(agent, "gate-open", {})
    wait_for(lambda: len(exits(state)) == 1)
    assert exits(state)[0]["exit_code"] == 7
    agent.close()


def test_a_removed_container_has_ended(state: StateFolder, engine: FakeEngine) -> None:
    agent = begin(state, engine)
    del engine.pids["raspberry-pi"]
    agent._containers.refresh()
    wait_for(lambda: len(exits(state)) == 1)
    agent._containers.refresh()
    agent.tick()
    assert [(event["device"], event["exit_code"]) for event in exits(state)] == [("raspberry-pi", 137)]
    agent.close()


def test_a_device_that_ends_before_it_was_seen_to_run_is_reported(state: StateFolder, engine: FakeEngine) -> None:
    del engine.pids["raspberry-pi"]
    agent = begin(state, engine)
    engine.start("raspberry-pi")
    engine.end("raspberry-pi", 7)
    agent.docker_event(engine.event("start", "raspberry-pi"))
    agent.docker_event(engine.event("die", "raspberry-pi", exitCode="7"))
    wait_for(lambda: len(exits(state)) == 1)
    assert exits(state)[0]["exit_code"] == 7
    agent.close()


def test_questions_do_not_pile_up(state: StateFolder, engine: FakeEngine) -> None:
    agent = begin(state, engine)
    engine.answers.clear()
    agent.refresh()
    for _ in range(5):
        agent.docker_event(engine.event("pause", "raspberry-pi"))
        agent.tick()
    wait_for(lambda: engine.waiting == 2)
    before = engine.calls
    engine.answers.set()
    wait_for(lambda: not agent._containers.unknown and not agent._containers._listing)
    # Those of the list, and one more for what has happened since the question that was under way.
    assert engine.calls - before <= len(engine.pids) + 1
    agent.close()
