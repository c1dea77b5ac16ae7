"""Reading what one participant writes (log, events, activity) and feeding it to the supervisor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fedsim_runner.contract.events import Event
from fedsim_runner.contract.participant_events import EVENTS, LOG, parse

from .supervision import Supervisor
from .tail import ACTIVITY, READ_BYTES, Tail


class Reports:
    """The reports of participant ``device``, whose output folder is ``out``."""

    def __init__(self, device: str, out: Path) -> None:
        self._device = device
        self._log = Tail(out, LOG)
        self._events = Tail(out, EVENTS, in_course=False)
        self._activity = Tail(out, ACTIVITY)

    def rescan(self) -> None:
        """Look for new folders: a restarted participant may write to another one."""
        self._log.rescan()
        self._activity.rescan()

    def feed(self, supervisor: Supervisor, now: float, most: int = READ_BYTES) -> Iterator[Event]:
        """Feed the new lines, about ``most`` bytes of each file, and yield the journal events that they cause."""
        # The log first: its last lines are shown with an event. Events before activity: they give the supervisor the
        # client ids that activity lines use.
        for line in self._log.lines(most):
            supervisor.feed_log(self._device, line, now)
        for line in self._events.lines(most):
            reported = parse(line)
            if reported is not None:
                yield from supervisor.feed_report(self._device, reported, now)
        for line in self._activity.lines(most):
            supervisor.feed_activity(self._device, line, now)

    def close(self) -> None:
        for tail in (self._log, self._events, self._activity):
            tail.close()
