"""What passes the links during a course: every second of it, in all, and how late packets were."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ...contract.atomic import CannotWriteError
from ...contract.events import Event, PacketsTimed
from ...contract.paths import StateFolder
from ..links.run_links import RunLinks
from ..run_settings import RunSettings
from .course_check import CourseCheck
from .link_counters import LinkCounters


class CourseCounters:
    """The counters of the links of one run on this lab host. Not thread-safe: its owner holds a lock.

    Args:
        state: the run's state folder.
        links: those in force.
        running: returns the processes of the running devices.
        record: writes an event to the journal.
        report_write_error: called if the file of counters is incomplete.

    Raises:
        CannotWriteError: the file cannot be created.
    """

    def __init__(
        self,
        state: StateFolder,
        links: RunLinks,
        running: Callable[[], Mapping[str, int]],
        record: Callable[[Event], None],
        report_write_error: Callable[[CannotWriteError], None],
    ) -> None:
        self._links = links
        self._running = running
        self._record = record
        self._report_write_error = report_write_error
        self._check = CourseCheck(links)
        self._seconds = LinkCounters(state.link_counters, links)

    def begin(self) -> None:
        """Count from now on."""
        self._check.begin(self._running())
        self._seconds.begin(time.time())

    def tick(self) -> None:
        """Look at the counters; call it several times a second during the course."""
        self._check.tick(time.monotonic(), self._running())

    def sample(self, now: float) -> None:
        """Write what has passed since the last call; ``now`` in Unix seconds.

        Raises:
            CannotWriteError: it is left out of the file.
        """
        self._seconds.sample(now, self._running())

    def now(self, device: str) -> dict[str, Any]:
        """What passes a device's link at present."""
        return self._seconds.now(device)

    def finish(self, settings: RunSettings, changed: Collection[tuple[str, str]]) -> None:
        """Record what has passed the links, and how late packets were, where a process holds them.

        Args:
            changed: directions that the timeline has changed, by device and ``up`` or ``down``.
        """
        lateness: dict[str, Any] = {}
        if self._links.failure is None:
            with contextlib.suppress(OSError):  # it has just ended, which is about to be reported
                lateness = self._links.counters().get("lateness") or {}
                if lateness:
                    self._record(PacketsTimed(**lateness))
        late_s = lateness.get("latest_us", 0) / 1e6
        running = self._running()
        varying, scale = settings.varying_values(), settings.time_scale
        for event in self._check.events(settings.links, running, late_s, changed, varying, scale):
            self._record(event)
        try:
            self._seconds.finish(time.time(), running)
        except CannotWriteError as error:
            self._report_write_error(error)

    def close(self) -> None:
        self._seconds.close()
