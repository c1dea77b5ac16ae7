"""The agent's main loop between ticks and the Engine's events."""

from __future__ import annotations

import queue
import threading
from typing import Any

import pytest

from fedsim_runner.agent import serve

pytestmark = pytest.mark.lengthy


class Agent:
    """Stops at the third tick; every event is followed by another one."""

    def __init__(self, events: queue.SimpleQueue[dict[str, Any] | None]) -> None:
        self.stopping = threading.Event()
        self.events = events
        self.ticks = self.seen = self.gaps = self.loads = 0
        self.pause_s = 0.005

    def tick(self) -> None:
        self.ticks += 1
        if self.ticks == 3:
            self.stopping.set()

    def docker_event(self, event: dict[str, Any]) -> None:
        self.seen += 1
        self.events.put(event)

    def refresh(self) -> None:
        self.gaps += 1

    def load(self) -> None:
        self.loads += 1


def test_ticks_come_in_time_though_events_never_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "TICK_S", 0.01)
    events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    events.put(None)
    events.put({"Action": "start"})
    agent = Agent(events)
    serve.follow(agent, events)  # type: ignore[arg-type]
    assert agent.ticks == 3
    assert agent.seen > 0
    assert agent.gaps == 1


def test_participants_load_also_between_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "TICK_S", 0.2)
    events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    agent = Agent(events)
    serve.follow(agent, events)  # type: ignore[arg-type]
    assert agent.loads > agent.ticks
