"""What a module makes of an agent that has stopped writing: whether it has ended, is frozen, hangs, or is only late."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.fedsim.testbed.plugins.module_utils import _agent_watch
from ansible_collections.fedsim.testbed.plugins.module_utils._agent_watch import AGENT_HANGS_S, AgentWatch

from fedsim_runner.contract.paths import StateFolder

CONTAINER = "c0ffee"


class Engine:
    """Has one container, the agent, in this state."""

    def __init__(self, **state: Any) -> None:
        self.state = {"Running": True, "Paused": False, "OOMKilled": False, "ExitCode": 0, "Pid": 0, **state}

    def inspect_container(self, _name: str) -> dict[str, Any]:
        return {"Id": CONTAINER, "State": self.state}

    def logs(self, *_: Any, **__: Any) -> bytes:
        return b"agent: the run's journal /s/journal.jsonl has been truncated\n"

    def close(self) -> None:
        pass


class Clock:
    """The time of the module, which a test moves on."""

    def __init__(self) -> None:
        self.wall = self.steady = 1000.0

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def move(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_agent_watch, "time", clock)
    return clock


@pytest.fixture
def state(tmp_path: Path, clock: Clock) -> StateFolder:
    state = StateFolder(tmp_path / "run")
    state.agent.mkdir(parents=True)
    state.snapshot.write_text("{}")
    wrote(state, clock)
    return state


def wrote(state: StateFolder, clock: Clock) -> None:
    os.utime(state.snapshot, (clock.wall, clock.wall))


@pytest.fixture
def watch(state: StateFolder, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Callable[[Engine], AgentWatch]:
    def begin(engine: Engine) -> AgentWatch:
        monkeypatch.setattr(_agent_watch, "connect", lambda _host: engine)
        return AgentWatch("unix:///nowhere", "r", state)

    return begin


def follow(watch: AgentWatch, clock: Clock, seconds: float) -> tuple[float, str | None]:
    """Check once a second; return after how many seconds the course ended, and why."""
    for passed in range(round(seconds) + 1):
        outcome = watch.check()
        if outcome is not None:
            return passed, outcome.reason
        clock.move(1)
    return seconds, None


def test_a_paused_agent_is_named_within_seconds(watch: Callable[[Engine], AgentWatch], clock: Clock) -> None:
    after, reason = follow(watch(Engine(Paused=True)), clock, 60)
    assert reason == "the agent container fedsim-r--agent is frozen: it was paused (`docker pause`)"
    assert after <= 6


def test_a_pause_that_ends_at_once_does_no_harm(
    watch: Callable[[Engine], AgentWatch], clock: Clock, state: StateFolder
) -> None:
    engine = Engine(Paused=True)
    begun = watch(engine)
    clock.move(4)
    assert begun.check() is None
    engine.state["Paused"] = False
    wrote(state, clock)
    assert follow(begun, clock, 5) == (5, None)


@pytest.fixture
def stopped() -> Iterator[int]:
    """The number of a process that a signal has stopped."""
    with subprocess.Popen(["sleep", "60"]) as process:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        yield process.pid
        process.kill()


@pytest.mark.process
def test_a_stopped_agent_is_named_within_seconds(
    watch: Callable[[Engine], AgentWatch], clock: Clock, stopped: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_agent_watch, "_is_here", lambda pid, container: (pid, container) == (stopped, CONTAINER))
    after, reason = follow(watch(Engine(Pid=stopped)), clock, 60)
    assert reason == "the agent container fedsim-r--agent is frozen: its process was stopped by a signal"
    assert after <= 6


@pytest.mark.process
def test_a_process_of_another_machine_says_nothing(
    watch: Callable[[Engine], AgentWatch], clock: Clock, stopped: int
) -> None:
    """The number that the Engine gives is another process's here."""
    assert follow(watch(Engine(Pid=stopped)), clock, 10) == (10, None)


def test_an_agent_that_hangs_is_named(watch: Callable[[Engine], AgentWatch], clock: Clock) -> None:
    after, reason = follow(watch(Engine()), clock, 120)
    assert reason is not None and "runs, but has written nothing for 30 s" in reason
    assert after == AGENT_HANGS_S


def test_a_machine_that_was_suspended_gives_its_agent_time(
    watch: Callable[[Engine], AgentWatch], clock: Clock, state: StateFolder
) -> None:
    begun = watch(Engine())
    assert begun.check() is None
    clock.wall += 8 * 3600  # the steady clock stands still
    assert follow(begun, clock, 2) == (2, None)
    wrote(state, clock)
    assert follow(begun, clock, 5) == (5, None)


def test_a_clock_that_was_set_back_hides_no_frozen_agent(watch: Callable[[Engine], AgentWatch], clock: Clock) -> None:
    clock.wall -= 3600
    after, reason = follow(watch(Engine(Paused=True)), clock, 60)
    assert reason is not None and "frozen" in reason
    assert after <= 6


def test_an_agent_that_gave_up_is_quoted(watch: Callable[[Engine], AgentWatch], clock: Clock) -> None:
    clock.move(3)
    outcome = watch(Engine(Running=False, ExitCode=1)).check()
    assert outcome is not None and outcome.reason is not None
    assert outcome.reason.endswith(
        "(exit code 1); its last line: agent: the run's journal /s/journal.jsonl has been truncated"
    )


def test_a_deleted_state_folder_is_named_at_once(watch: Callable[[Engine], AgentWatch], state: StateFolder) -> None:
    shutil.rmtree(state.path)
    outcome = watch(Engine()).check()
    assert outcome is not None and outcome.reason == f"the run's state folder {state.path} has been deleted"
