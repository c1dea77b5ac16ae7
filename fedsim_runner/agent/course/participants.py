"""What is known of each participant of a course."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from fedsim_runner.contract.reference_windows import StepTime

Role = Literal["server", "client"]
DeviceState = Literal[
    "starting", "loading", "ready", "joined", "training", "evaluating", "finished", "exited", "failed", "lost"
]

KEPT_LINES = 20


@dataclass
class Participant:
    """What is known of one participant. Times are on the scale of the caller's ``now``."""

    role: Role
    state: DeviceState = "starting"
    client_id: int | None = None
    trained: int = -1  # the last round it reported training of, from 0
    tested: int = -1  # ... and evaluation of
    step_time: StepTime | None = None  # of its reference, timed before the gate opened
    done: bool = False
    exit_code: int | None = None
    oom_killed: bool = False
    frozen_since: float | None = None
    offline: bool = False  # its link is cut for now, so that nothing is heard of it
    missed_end: bool = False  # it was offline when, or after, the server finished
    last_heartbeat: float = float("-inf")  # when it was last seen to work, though it reported nothing
    crashed_at: float | None = None
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
