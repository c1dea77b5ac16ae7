"""The agent with a fake Engine and a fake kernel: links, gate and containers together, driven by ctl's commands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fedsim_runner.agent import commands, health
from fedsim_runner.agent.host.network_container import Namespace
from fedsim_runner.agent.links.link_errors import NoNetworkError
from fedsim_runner.agent.measuring.link_counters import HEADER
from fedsim_runner.contract.paths import StateFolder

from .fake_engine import FakeEngine, begin, journal, open_gate, start_process, wait_for
from .links.fake_kernel import FakeKernel

pytestmark = pytest.mark.lengthy


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
    open_gate(agent, state, engine, open_at=12.0)
    assert commands.answer(agent, "gate-open", {}) == {"changed": False}
    assert state.gate_open.exists()

    # A client ends: the gate shuts, and opens again when its new interface is shaped.
    client = next(name for name in names if name != "server")
    engine.pids[client] = 0
    agent.docker_event(engine.event("die", client, exitCode="3"))
    assert not state.gate_open.exists()
    assert commands.answer(agent, "status", {})["devices"][client]["exit_code"] == 3
    agent.docker_event(engine.start(client))
    wait_for(lambda: any(event["event"] == "link_reapplied" for event in journal(state)))
    assert (str(engine.pids[client]), "eth0") in kernel.qdiscs
    agent.close()


def test_a_run_that_is_brought_up_again_with_another_factor_says_so_once(
    kernel: FakeKernel, state: StateFolder, engine: FakeEngine
) -> None:
    agent = begin(state, engine)
    commands.answer(agent, "links-apply", {})
    content = json.loads(state.device_file.read_text())
    state.device_file.write_text(json.dumps({**content, "time": "dilated", "time_factor": 0.25}))
    for _ in range(2):
        commands.answer(agent, "links-apply", {})
    found = [event["time_factor"] for event in journal(state) if event["event"] == "agent_started"]
    assert found == [1.0, 0.25]
    agent.close()


def test_without_its_network_a_course_fails_and_links_start_anew(
    kernel: FakeKernel, state: StateFolder, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = begin(state, engine)
    commands.answer(agent, "links-apply", {})
    commands.answer(agent, "gate-open", {})
    kernel.end_namespace(str(engine.network))
    engine.network = 0
    agent._network.namespace = Namespace("/proc/0/ns/net", (0, 0))  # the process has ended
    agent.tick()
    assert not any(event["event"] == "course_failed" for event in journal(state))  # the Engine may be ending
    monkeypatch.setattr(health, "ENGINE_END_S", 0.0)
    agent.tick()
    failed = journal(state)[-1]
    assert failed["event"] == "course_failed"
    assert failed["reason"] == "container fedsim-r--network, which holds the run's network, has ended: " + (
        "no device reaches another"
    )
    assert not agent._links.covers(["server"])
    assert commands.answer(agent, "links-apply", {"check": True})["changed"]
    with pytest.raises(NoNetworkError, match=r"fedsim-r--network, .* is not running: the network stage starts it"):
        commands.answer(agent, "links-apply", {})
    engine.network = start_process()
    assert commands.answer(agent, "links-apply", {})["changed"]
    assert not commands.answer(agent, "links-apply", {})["changed"]
    assert agent._links.covers(list(engine.pids))
    agent.close()


def test_an_engine_that_ends_takes_the_network_with_it_and_is_named(
    kernel: FakeKernel, state: StateFolder, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = begin(state, engine)
    commands.answer(agent, "links-apply", {})
    commands.answer(agent, "gate-open", {})
    agent._network.namespace = Namespace("/proc/0/ns/net", (0, 0))  # first its container ends
    agent.tick()
    monkeypatch.setattr(agent._docker, "is_there", lambda _within_s: False)
    agent.close()  # then the agent is told to end
    failed = next(event for event in journal(state) if event["event"] == "course_failed")
    assert "the Docker Engine was stopped or restarted during the course" in failed["reason"]


def test_the_gate_stays_shut_without_the_network(kernel: FakeKernel, state: StateFolder, engine: FakeEngine) -> None:
    agent = begin(state, engine)
    commands.answer(agent, "links-apply", {})
    agent._network.namespace = Namespace("/proc/0/ns/net", (0, 0))
    with pytest.raises(RuntimeError, match="fedsim-r--network, which holds the run's network, has ended"):
        commands.answer(agent, "gate-open", {})
    assert not state.gate_open.exists()
    agent.close()


def test_an_agent_that_finds_no_network_fails_the_course_that_it_resumes(
    kernel: FakeKernel, state: StateFolder, engine: FakeEngine
) -> None:
    first = begin(state, engine)
    commands.answer(first, "links-apply", {})
    commands.answer(first, "gate-open", {})
    first.close()
    engine.network = 0
    second = begin(state, engine)
    assert journal(state)[-1]["event"] == "course_failed"
    assert "is not running" in journal(state)[-1]["reason"]
    second.close()


def test_devices_are_connected_even_if_nothing_can_shape_their_links(
    kernel: FakeKernel, state: StateFolder, engine: FakeEngine, device_file: dict[str, Any]
) -> None:
    kernel.lacks += ("netem", "tbf")
    state.device_file.write_text(json.dumps({**device_file, "allow_unshaped": True}))
    agent = begin(state, engine)
    answer = commands.answer(agent, "links-apply", {})
    assert answer["backend"] is None and "cannot shape these links" in answer["unshaped"]
    assert all((str(pid), "eth0") in kernel.links for pid in engine.pids.values()) and not kernel.qdiscs
    assert not commands.answer(agent, "links-apply", {})["changed"]
    open_gate(agent, state, engine)
    agent.docker_event(engine.start("raspberry-pi"))
    wait_for(lambda: (str(engine.pids["raspberry-pi"]), "eth0") in kernel.links and state.gate_open.exists())
    assert [event["event"] for event in journal(state) if "link" in event["event"]] == ["links_unshaped"]
    agent.close()


def test_an_agent_resumes_what_an_earlier_one_left(kernel: FakeKernel, state: StateFolder, engine: FakeEngine) -> None:
    first = begin(state, engine)
    commands.answer(first, "links-apply", {})
    open_gate(first, state, engine)
    first.close()
    state.gate_open.unlink()
    engine.end("raspberry-pi", 5)
    second = begin(state, engine)
    wait_for(lambda: any(event["event"] == "device_exited" for event in journal(state)))
    assert state.gate_open.exists()
    assert commands.answer(second, "gate-open", {}) == {"changed": False}
    assert commands.answer(second, "status", {})["state"] == "running"
    second.close()


def test_ctl_refuses_unknown_commands(kernel: FakeKernel, state: StateFolder, engine: FakeEngine) -> None:
    agent = begin(state, engine)
    with pytest.raises(
        ValueError,
        match=r"no command 'dance': probe, lab-offer, .*, packets, stop",
    ):
        commands.answer(agent, "dance", {})
    assert commands.answer(agent, "packets", {}) == {}
    assert commands.answer(agent, "probe", {})["netem"] is True
    assert commands.answer(agent, "stop", {}) == {"stopping": True} and agent.stopping.is_set()
    agent.close()


def test_an_agent_that_is_stopped_with_the_engine_names_it_as_the_cause(
    kernel: FakeKernel, state: StateFolder, engine: FakeEngine
) -> None:
    agent = begin(state, engine)
    commands.answer(agent, "links-apply", {})
    open_gate(agent, state, engine)
    engine.there = False
    agent.close()
    failed, stopped = journal(state)[-2:]
    assert (failed["event"], failed["device"], stopped["event"]) == ("course_failed", None, "agent_stopped")
    assert failed["reason"].startswith("the Docker Engine was stopped or restarted during the course")


@pytest.mark.parametrize("gate", ["open", "closed"])
def test_an_agent_that_is_stopped_by_somebody_else_blames_nobody(
    gate: str, kernel: FakeKernel, state: StateFolder, engine: FakeEngine
) -> None:
    """While the gate is closed nothing is lost, whoever ends it."""
    agent = begin(state, engine)
    commands.answer(agent, "links-apply", {})
    if gate == "open":
        open_gate(agent, state, engine)
    engine.there = gate == "open"
    agent.close()
    assert "course_failed" not in [event["event"] for event in journal(state)]


def test_a_device_that_has_left_the_run_is_not_part_of_its_course(
    kernel: FakeKernel, state: StateFolder, engine: FakeEngine
) -> None:
    agent = begin(state, engine)
    commands.answer(agent, "links-apply", {})
    content = json.loads(state.device_file.read_text(encoding="utf-8"))
    gone = content["devices"].pop()["name"]
    content["clients"].remove(gone)
    engine.pids[gone] = 0
    agent.docker_event(engine.event("die", gone, exitCode="137"))
    wait_for(lambda: any(event["event"] == "device_exited" for event in journal(state)))
    state.device_file.write_text(json.dumps(content), encoding="utf-8")
    commands.answer(agent, "links-apply", {})
    open_gate(agent, state, engine)
    agent.tick()
    status = commands.answer(agent, "status", {})
    assert gone not in status["devices"]
    assert status["state"] == "running"
    agent.close()


def test_late_packets_and_what_passed_are_recorded_before_the_course_ends(
    kernel: FakeKernel, state: StateFolder, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = begin(state, engine)
    commands.answer(agent, "links-apply", {})
    kernel.passed = 1_000  # what measured the links
    open_gate(agent, state, engine)
    kernel.passed = 1_300
    timed = {"packets": 70, "late_1ms": 2, "late_5ms": 1, "latest_us": 8_000, "scheduling": "nice"}
    monkeypatch.setattr(agent._links, "counters", lambda: {"lateness": timed, "held": 3})
    agent._watch.fail(None, "for the test")
    found = journal(state)
    assert found[-1]["event"] == "course_failed"
    (recorded,) = (event for event in found[:-1] if event["event"] == "packets_timed")
    assert recorded == {**recorded, **timed}
    counted = [event for event in found[:-1] if event["event"] == "link_counted"]
    assert {(event["device"], event["direction"]) for event in counted} == {
        (name, way) for name in commands.answer(agent, "status", {})["devices"] for way in ("up", "down")
    }
    assert {(event["packets"], event["lost"], event["bytes"]) for event in counted} == {(300, 0, 300_000)}
    assert {event["loss_verdict"] for event in counted} == {"within"}
    agent.close()
    # Nor does what measured the links count in what passed each second, whose sum is what passed the course.
    header, *rows = state.link_counters.read_text(encoding="utf-8").splitlines()
    assert header == HEADER
    assert {tuple(row.split(",")[4:]) for row in rows} == {("300000", "300", "0", "0", "0")}
    assert sorted(row.split(",")[1:3] for row in rows) == sorted(
        [event["device"], event["direction"]] for event in counted
    )
