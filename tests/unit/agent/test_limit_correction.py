"""Limits that are corrected by the steps that devices time before the gate, with a fake Engine and a fake kernel."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import pytest

from fedsim_runner.agent import commands, limit_correction
from fedsim_runner.agent.host.cpu_lift import CpuLift
from fedsim_runner.agent.run_agent import LOADING_TICK_S, TICK_S, Agent
from fedsim_runner.contract.cpu_limit import CpuLimit, limit_to
from fedsim_runner.contract.participant_events import EVENTS, ReferenceTimed, to_line
from fedsim_runner.contract.paths import StateFolder
from fedsim_runner.contract.reference_windows import CHANCE, MOST, whole_s

from .fake_engine import FakeEngine, begin, journal, open_gate, wait_for
from .links.fake_kernel import FakeKernel

pytestmark = pytest.mark.lengthy

TIMED = "raspberry-pi"
TOGETHER = ["raspberry-pi", "smartphone-high", "smartphone-low"]
CPUS, SECONDS = 0.2, 0.5  # so a step has 0.1 s of the processor


class Limits:
    """What limits the agent has set, one after the other, by container."""

    def __init__(self) -> None:
        self.set: list[tuple[str, CpuLimit]] = []
        self.error: OSError | None = None

    def change(self, lift: CpuLift, pid: int, container: str, limit: CpuLimit) -> bool:
        assert pid
        if self.error is not None:
            raise self.error
        self.set.append((container, limit))
        return True


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch, kernel: FakeKernel) -> Limits:
    made = Limits()
    monkeypatch.setattr(CpuLift, "lift", lambda *_: None)
    monkeypatch.setattr(CpuLift, "restore", lambda *_: None)
    monkeypatch.setattr(CpuLift, "change", lambda *arguments: made.change(*arguments))
    return made


@pytest.fixture
def agent(state: StateFolder, engine: FakeEngine, device_file: dict[str, Any], limits: Limits) -> Agent:
    return begin_timed(state, engine, device_file, [TIMED])


@pytest.fixture
def agent_of_several(state: StateFolder, engine: FakeEngine, device_file: dict[str, Any], limits: Limits) -> Agent:
    """One whose devices' limits are corrected together."""
    return begin_timed(state, engine, device_file, TOGETHER, together=True)


def begin_timed(
    state: StateFolder, engine: FakeEngine, device_file: dict[str, Any], names: Sequence[str], together: bool = False
) -> Agent:
    for device in device_file["devices"]:
        if device["name"] in names:
            device["cpus"] = CPUS
            device["compute"] = {
                "reference": "numpy-mlp",
                "seconds": SECONDS * device_file["cpu_factor"],
                "parts": 100,
                "corrects": True,
                "together": together,
            }
    state.device_file.write_text(json.dumps(device_file | {"timing_s": whole_s(0.5)}))
    started = begin(state, engine)
    commands.answer(started, "links-apply", {})
    return started


def report(state: StateFolder, cpu_s: float, name: str = TIMED) -> None:
    """This device has timed its step, and was not held up."""
    with (state.outputs(name) / EVENTS).open("a") as stream:
        stream.write(to_line(ReferenceTimed(cpu_s / CPUS, cpu_s), time.time()))


def corrections(state: StateFolder) -> list[dict[str, Any]]:
    return [event for event in journal(state) if event["event"] == "limit_corrected"]


def test_a_limit_becomes_one_in_which_a_step_takes_what_it_should(
    agent: Agent, state: StateFolder, engine: FakeEngine, limits: Limits
) -> None:
    open_gate(agent, state, engine)
    assert agent.pause_s == LOADING_TICK_S
    report(state, 0.11)
    agent.load()
    assert limits.set == [(f"id-{TIMED}", limit_to(0.22, device=TIMED))]
    (event,) = corrections(state)
    assert (event["device"], event["before"], event["cpus"]) == (TIMED, CPUS, 0.22)
    assert agent.pause_s == TICK_S
    report(state, 0.2)
    agent.tick()
    assert len(limits.set) == 1, "the second timing shows what came of it"
    agent.close()


@pytest.mark.parametrize(("cpu_s", "cpus"), [(1.0, CPUS * MOST), (0.0001, CPUS / MOST)])
def test_no_device_can_ask_for_much(
    cpu_s: float, cpus: float, agent: Agent, state: StateFolder, engine: FakeEngine, limits: Limits
) -> None:
    open_gate(agent, state, engine)
    report(state, -3.0)
    report(state, cpu_s)
    report(state, 0.1, "server")  # which has no reference
    agent.load()
    assert limits.set == [(f"id-{TIMED}", limit_to(cpus, device=TIMED))]
    agent.close()


def test_what_is_as_it_should_be_stays(agent: Agent, state: StateFolder, engine: FakeEngine, limits: Limits) -> None:
    open_gate(agent, state, engine)
    report(state, 0.1005)
    agent.load()
    assert not limits.set and not corrections(state)
    assert agent.pause_s == TICK_S
    agent.close()


def test_devices_that_share_a_factor_get_the_median_once_all_have_reported(
    agent_of_several: Agent,
    state: StateFolder,
    engine: FakeEngine,
    limits: Limits,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # However slow this machine is, it is not yet time to do without one of them.
    monkeypatch.setattr(limit_correction, "_BEFORE_SECOND_S", -60.0)
    open_gate(agent_of_several, state, engine)
    for cpu_s, name in zip((0.11, 0.05), TOGETHER[:2], strict=True):
        report(state, cpu_s, name)
        agent_of_several.load()
    assert not limits.set
    report(state, 0.12, TOGETHER[2])
    agent_of_several.load()
    cpus = round(CPUS * (1.1 - CHANCE), 5)
    assert limits.set == [(f"id-{name}", limit_to(cpus, device=name)) for name in sorted(TOGETHER)]
    assert {event["device"]: event["cpus"] for event in corrections(state)} == dict.fromkeys(TOGETHER, cpus)
    assert agent_of_several.pause_s == TICK_S
    agent_of_several.close()


def test_one_that_does_not_report_in_time_gets_what_the_others_say(
    agent_of_several: Agent, state: StateFolder, engine: FakeEngine, limits: Limits
) -> None:
    open_gate(agent_of_several, state, engine)
    for name in TOGETHER[1:]:
        report(state, 0.09, name)
    agent_of_several.load()

    def corrects() -> bool:
        agent_of_several.load()
        return bool(limits.set)

    wait_for(corrects)
    assert {name for name, _ in limits.set} == {f"id-{name}" for name in TOGETHER}
    assert {event["cpus"] for event in corrections(state)} == {round(CPUS * (0.9 + CHANCE), 5)}
    agent_of_several.close()


def test_a_limit_that_cannot_be_changed_is_named(
    agent: Agent, state: StateFolder, engine: FakeEngine, limits: Limits
) -> None:
    limits.error = PermissionError(30, "Read-only file system", "cpu.max")
    open_gate(agent, state, engine)
    report(state, 0.11)
    agent.load()
    (said,) = [event for event in journal(state) if event["event"] == "agent_cannot_write"]
    assert said["reason"] == ("CPU limits stay as planned, however long steps take: cpu.max: Read-only file system")
    assert not corrections(state)
    agent.close()


def test_a_container_that_starts_anew_and_a_later_agent_keep_it(
    agent: Agent, state: StateFolder, engine: FakeEngine, limits: Limits
) -> None:
    open_gate(agent, state, engine)
    report(state, 0.11)
    agent.load()
    agent.docker_event(engine.start(TIMED))
    agent.tick()
    wanted = (f"id-{TIMED}", limit_to(0.22, device=TIMED))
    deadline = time.monotonic() + 10
    while len(limits.set) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
        agent.tick()
    assert limits.set == [wanted, wanted]
    assert len(corrections(state)) == 1
    agent.close()
    later = begin(state, engine)
    later.tick()
    assert limits.set == [wanted] * 3
    later.close()
