"""What an agent does for the course of a run on several lab hosts: one of three parts.

The agent on the server's lab host *judges* the course: the others send it what their participants report, and it tells
them when the gate opens, who is lost, and how the course ended. They *follow*. On a single lab host there is nobody to
talk to.
"""

from __future__ import annotations

import time
from typing import Protocol

from ..course.limits import Limits
from ..course.supervision import Supervisor
from ..course.watch import supervise_alone
from ..run_settings import RunSettings


class LabPart(Protocol):
    """An agent's part. Not thread-safe: its owner holds a lock."""

    def start(self) -> None:
        """Begin to talk to the other agents."""

    def supervise(self, settings: RunSettings, limits: Limits) -> Supervisor:
        """Return the supervisor of the course that begins."""

    def why_not_resumed(self) -> str | None:
        """Why a course that an earlier agent began cannot go on; None: it can."""

    def tick(self) -> None:
        """Pass on what has come; called at least twice a second."""

    def gate_time(self) -> float | None:
        """When the gate opens by the clock of this lab host, whose participants have loaded; None: not known yet.

        Unix seconds.
        """

    def opened(self, at: float) -> None:
        """Note that the gate of this lab host opens or opened at this time."""

    def close(self) -> None:
        """End, once the others have what they need to know."""


class Alone:
    """The part of an agent that has no others."""

    def start(self) -> None:
        """There is nobody to talk to."""

    def supervise(self, settings: RunSettings, limits: Limits) -> Supervisor:
        return supervise_alone(settings, limits)

    def why_not_resumed(self) -> str | None:
        return None

    def tick(self) -> None:
        """Nothing comes."""

    def gate_time(self) -> float | None:
        return time.time()

    def opened(self, at: float) -> None:
        """Nobody needs to know."""

    def close(self) -> None:
        """There is nothing to end."""
