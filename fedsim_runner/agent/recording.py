"""Events with their time and lab host, for the run's journal."""

from __future__ import annotations

import dataclasses
import platform
import time

from ..contract import events
from ..contract.atomic import CannotWriteError
from ..contract.congestion_control import read_congestion_controls
from ..contract.events import Event
from . import PROTOCOL
from .host.journal import Journal
from .run_settings import RunSettings


class Recorder:
    """Writes what happens on one lab host.

    Args:
        journal: of the run.
        lab_host: its name.
    """

    def __init__(self, journal: Journal, lab_host: str) -> None:
        self._journal = journal
        self._lab_host = lab_host
        self._reported_write_errors: set[str] = set()

    def record(self, event: Event) -> None:
        """Write an event, whose time is now if it has none."""
        # One copy with both, as a course has thousands of events.
        moment = round(time.time(), 3) if event.t is None else event.t
        self._journal.write(dataclasses.replace(event, t=moment, lab_host=self._lab_host))

    def record_start(self, settings: RunSettings, backend: str | None) -> None:
        """Record what the agent of these settings is like; ``backend``: what shapes links here."""
        self.record(
            events.AgentStarted(
                backend=backend,
                kernel=platform.release(),
                version=PROTOCOL,
                congestion_control=read_congestion_controls().in_force(settings.congestion_control),
                time_factor=settings.time_scale.factor,
            )
        )

    def report_write_error(self, error: CannotWriteError) -> None:
        """Record once that a file that the course does not need is incomplete."""
        if str(error) not in self._reported_write_errors:
            self._reported_write_errors.add(str(error))
            self.record(events.AgentCannotWrite(str(error)))
