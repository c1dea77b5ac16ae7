"""A fake Engine for the agent: containers by device; it can be made slow, deaf, or be asked which calls it got."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from fedsim_runner.agent.host.docker_api import DockerError, GoneError
from fedsim_runner.agent.run_agent import Agent
from fedsim_runner.contract.names import KIND_NETWORK, LABEL_DEVICE, LABEL_KIND, LABEL_RUN
from fedsim_runner.contract.participant_events import EVENTS, Ready, to_line
from fedsim_runner.contract.paths import StateFolder

RUN = "r"
NETWORK = "id--network"
_LONGEST_S = 10.0  # that a test waits for anything


class FakeEngine:
    """Containers by device, and the signals sent to them.

    Attributes:
        pids: processes of the containers; 0: it has ended.
        network: process of the container that holds the run's network.
        starts: how often each has been started.
        deaf: devices about which no call is answered: it ends in an error, as after a time-out.
        answers: cleared, every call waits until it is set again.
        there: whether it takes calls at all.
        waiting: how many calls wait.
        calls: how many there were.
    """

    def __init__(self, names: list[str]) -> None:
        self.pids = {name: start_process() for name in names}
        self.network = start_process()
        self.starts = dict.fromkeys(names, 0)
        self.codes = dict.fromkeys(names, 3)
        self.killed: list[tuple[str, str]] = []
        self.deaf: set[str] = set()
        self.answers = threading.Event()
        self.answers.set()
        self.waiting = self.calls = 0
        self.there = True

    def is_there(self, within_s: float) -> bool:
        return self.there

    def containers(self, labels: dict[str, str]) -> list[dict[str, Any]]:
        if labels[LABEL_KIND] == KIND_NETWORK:
            return [{"Id": NETWORK, "Labels": labels}]
        entries = [
            {"Id": f"id-{name}", "State": "running" if pid else "exited", "Labels": {LABEL_DEVICE: name}}
            for name, pid in self.pids.items()
        ]
        self._wait()
        return entries

    def inspect(self, identity: str) -> dict[str, Any]:
        if identity == NETWORK:
            return {"Id": identity, "State": {"Pid": self.network}}
        name = identity.removeprefix("id-")
        if name not in self.pids:
            self._wait()
            raise GoneError(f"no container {identity}")
        pid, start = self.pids[name], self.starts[name]
        self._wait()
        if name in self.deaf:
            raise DockerError(f"GET /containers/{identity}/json: timed out")
        state = {
            "Running": bool(pid),
            "StartedAt": f"2026-01-01T00:00:{start:02}Z",
            "Pid": pid,
            "ExitCode": 0 if pid else self.codes[name],
        }
        return {"Id": identity, "Config": {"Labels": {LABEL_DEVICE: name, LABEL_RUN: RUN}}, "State": state}

    def last_lines(self, identity: str, count: int) -> list[str]:
        self._wait()
        return ["its last line"]

    def kill(self, identity: str, signal: str) -> None:
        self.killed.append((identity, signal))

    def start(self, name: str) -> dict[str, Any]:
        """Start a device's container and return the event."""
        self.pids[name] = start_process()
        self.starts[name] += 1
        return self.event("start", name)

    def end(self, name: str, code: int = 3) -> dict[str, Any]:
        """End a device's process and return the event."""
        self.pids[name], self.codes[name] = 0, code
        return self.event("die", name, exitCode=str(code))

    def event(self, action: str, name: str, **attributes: str) -> dict[str, Any]:
        return {
            "Type": "container",
            "Action": action,
            "Actor": {"ID": f"id-{name}", "Attributes": {LABEL_RUN: RUN, LABEL_DEVICE: name, **attributes}},
        }

    def _wait(self) -> None:
        self.calls += 1
        self.waiting += 1
        assert self.answers.wait(_LONGEST_S)
        self.waiting -= 1


def start_process() -> int:
    """A process for a container, and with it a namespace: the kernel shows a thread in /proc like one."""
    started: queue.SimpleQueue[int] = queue.SimpleQueue()

    def live() -> None:
        started.put(threading.get_native_id())
        threading.Event().wait()

    threading.Thread(target=live, daemon=True).start()
    return started.get()


def begin(state: StateFolder, engine: FakeEngine) -> Agent:
    agent = Agent(state, RUN, engine)  # type: ignore[arg-type]
    agent.start()
    return agent


def report_ready(state: StateFolder, *names: str) -> None:
    """These devices' participants have loaded."""
    for name in names:
        with (state.outputs(name) / EVENTS).open("a") as stream:
            stream.write(to_line(Ready(), time.time()))


def open_gate(agent: Agent, state: StateFolder, engine: FakeEngine, open_at: float | None = None) -> None:
    """Ask for the gate, and have all participants load at once."""
    assert agent.open_gate(open_at) == {"changed": True}
    report_ready(state, *engine.pids)
    while not state.gate_open.exists():
        agent.load()


def journal(state: StateFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in state.journal.read_text().splitlines()]


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until it holds, at most 10 s."""
    deadline = time.monotonic() + _LONGEST_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
