"""The journal: one JSON object per line, on disk as soon as it is written.

A full disk must not make the end of a course unknown: a reserve of space is held beside the journal from the start
and given up when a line does not fit, so that what happened can still be told.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from dataclasses import replace
from pathlib import Path

from fedsim_runner.contract.atomic import AppendFile, CannotWriteError
from fedsim_runner.contract.events import Event

RESERVE = "reserve"
RESERVE_BYTES = 1 << 20
_KEPT = 10_000  # lines that wait for space


class Journal:
    """Appends events with the time (``t``, Unix seconds); safe from several threads."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            CannotWriteError: it cannot be made.
        """
        self._file = AppendFile(path)
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque(maxlen=_KEPT)
        self._reserve = path.with_name(RESERVE)
        self.failure: str | None = None
        self._hold()

    @property
    def stuck(self) -> bool:
        """Whether lines wait that could not be written."""
        return bool(self._waiting)

    def write(self, event: Event) -> None:
        """One line. If it cannot be written, it is kept, tried again with the next one, and ``failure`` says why."""
        timed = event if event.t is not None else replace(event, t=round(time.time(), 3))
        line = timed.to_line().encode()
        with self._lock:
            self._waiting.append(line)
            for release in (True, False):
                try:
                    while self._waiting:
                        self._file.append(self._waiting[0])
                        self._waiting.popleft()
                    return
                except CannotWriteError as error:
                    self.failure = self.failure or str(error)
                    if release:
                        self._reserve.unlink(missing_ok=True)

    def close(self) -> None:
        self._reserve.unlink(missing_ok=True)
        self._file.close()

    def _hold(self) -> None:
        # Without it the journal works as well, as long as there is space.
        with contextlib.suppress(OSError), self._reserve.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, RESERVE_BYTES)
