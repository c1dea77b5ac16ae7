"""How an engine reports what happens in its course, see :mod:`fedsim_runner.contract.participant_events`."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from ..contract.participant_events import EVENTS, ParticipantEvent, to_line


class Reporter:
    """Appends events to ``events.jsonl``. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        """Open the file in ``folder``, which exists; a restarted participant appends to it.

        Raises:
            OSError: it cannot be written.
        """
        self._lock = threading.Lock()
        self._kinds: set[type[ParticipantEvent]] = set()
        self._stream = (folder / EVENTS).open("a", buffering=1, encoding="utf-8")

    def report(self, event: ParticipantEvent, at: float | None = None) -> None:
        """Append one event; ``at``: when it happened, Unix seconds; None: now.

        Raises:
            OSError: the disk is full or the folder is gone; nothing that follows could be trusted.
        """
        line = to_line(event, time.time() if at is None else at)
        with self._lock:
            self._kinds.add(type(event))
            self._stream.write(line)

    def report_once(self, event: ParticipantEvent) -> None:
        """Append an event, unless one of its kind was reported before.

        Raises:
            OSError: as of :meth:`report`.
        """
        if type(event) not in self._kinds:
            self.report(event)
