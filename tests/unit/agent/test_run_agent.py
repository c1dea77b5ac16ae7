"""The agent with a fake Engine and a fake kernel: links, gate and containers together, driven by ctl's commands."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.agent import commands
from fedsim_runner.agent.host.docker_api import DockerError
from fedsim_runner.agent.run_agent import Agent
from fedsim_runner.contract.names import LABEL_DEVICE, LABEL_RUN
from fedsim_runner.contract.paths import StateFolder

from .links.fake_kernel import FakeKernel

RUN = "r"
# Two processes that live as long as the test.
PID, OTHER_PID = os.getpid(), os.getppid()


class FakeEngine:
    """Containers by device, and the signals sent to them."""

    def __init__(self, names: list[str]) -> None:
        self.pids = dict.fromkeys(names, PID)
        self.killed: list[tuple[str, str]] = []

    def containers(self, labels: dict[str, str]) -> list[dict[str, Any]]:
        return [{"Id": f"id-{name}", "State": "running", "Labels": {LABEL_DEVICE: name}} for name in self.pids]

    def inspect(self, identity: str) -> dict[str, Any]:
        name = identity.removeprefix("id-")
        if name not in self.pids:
            raise DockerError(f"no container {identity}")
        pid = self.pids[name]
        state = {"Running": bool(pid), "StartedAt": "2026", "Pid": pid, "ExitCode": 0 if pid else 3}
        return {"Id": identity, "Config": {"Labels": {LABEL_DEVICE: name, LABEL_RUN: RUN}}, "State": state}

    def last_lines(self, identity: str, count: int) -> list[str]:
        return ["its last line"]

    def kill(self, identity: str, signal: str) -> None:
        self.killed.append((identity, signal))

    def network(self, name: str) -> dict[str, Any]:
        raise DockerError(f"no network {name}")

    def event(self, action: str, name: str, **attributes: str) -> dict[str, Any]:
        return {
            "Type": "container",
            "Action": action,
            "Actor": {"ID": f"id-{name}", "Attributes": {LABEL_RUN: RUN, **attributes}},
        }


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    return FakeKernel(lacks=("iptables-nft", "iptables-legacy", "iptables")).install(monkeypatch)


@pytest.fixture
def state(tmp_path: Path, device_file: dict[str, Any]) -> StateFolder:
    # The test's process stands for every device: all share one interface, so their links must be equal.
    for device in device_file["devices"]:
        device["link"] = device_file["devices"][0]["link"]
    folder = StateFolder(tmp_path)
    folder.device_file.write_text(json.dumps(device_file))
    for device in device_file["devices"]:
        folder.outputs(device["name"]).mkdir(parents=True)
    return folder


@pytest.fixture
def engine(device_file: dict[str, Any]) -> FakeEngine:
    return FakeEngine([device["name"] for device in device_file["devices"]])


def begin(state: StateFolder, engine: FakeEngine) -> Agent:
    agent = Agent(state, RUN, engine)  # type: ignore[arg-type]
    agent.start()
    return agent


def journal(state: StateFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in state.journal.read_text().splitlines()]


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
    assert kernel.qdiscs
    assert {"event": "link_reapplied", "device": client}.items() <= journal(state)[-1].items()
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
