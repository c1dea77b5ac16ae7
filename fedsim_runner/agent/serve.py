"""``serve``: the agent's process. It passes Docker's events, ticks and commands to the agent."""

from __future__ import annotations

import argparse
import queue
import signal
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from ..contract.errors import FedsimError
from ..contract.paths import StateFolder
from . import commands
from .host import control
from .host.docker_api import Docker
from .host.engine_events import Events
from .host.open_files import allow_open_files
from .run_agent import TICK_S, Agent
from .run_settings import read_run_settings
from .timeline.priority import run_before_devices


def main(arguments: Sequence[str]) -> int:
    """``serve --state DIR --run RUN``: run until ``stop`` or SIGTERM."""
    parser = argparse.ArgumentParser(prog="agent serve")
    parser.add_argument("--state", type=Path, required=True, help="the run's state folder on this lab host")
    parser.add_argument("--run", required=True, help="the run's id")
    parser.add_argument("--socket", default=control.SOCKET, help="where ctl finds this agent")
    options = parser.parse_args(arguments)
    run_before_devices()
    docker, state = Docker(), StateFolder(options.state)
    try:
        allow_open_files(len(read_run_settings(state.device_file).roles))
        agent = Agent(state, options.run, docker)
    except FedsimError as error:
        print(f"agent: {error}", file=sys.stderr)
        return 1

    def stop(_signal: int, _frame: FrameType | None) -> None:
        agent.stopping.set()

    def fail(thread: threading.ExceptHookArgs) -> None:
        agent.failure = agent.failure or f"{thread.exc_type.__name__}: {thread.exc_value}"
        agent.stopping.set()
        threading.__excepthook__(thread)

    threading.excepthook = fail  # an agent without one of its threads would watch a course in vain
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    Events(docker, events).start()
    agent.start()
    answer = partial(commands.answer, agent)
    close_control = [control.listen(answer, path) for path in (options.socket, str(state.control))]
    follow(agent, events)
    agent.close()
    for close in close_control:
        close()
    if agent.failure is not None:
        print(f"agent: {agent.failure}", file=sys.stderr)
        return 1
    return 0


def follow(agent: Agent, events: queue.SimpleQueue[dict[str, Any] | None]) -> None:
    """Pass ticks and the Engine's events to the agent until it is to stop. ``None`` among them stands for a gap."""
    next_tick = time.monotonic()
    while not agent.stopping.is_set():
        left = next_tick - time.monotonic()
        if left <= 0:  # also while events keep coming: 500 devices start or end at once
            next_tick = max(next_tick + TICK_S, time.monotonic())
            agent.tick()
            continue
        try:
            event = events.get(timeout=min(left, agent.pause_s))
        except queue.Empty:
            agent.load()
            continue
        if event is None:
            agent.refresh()
        else:
            agent.docker_event(event)
