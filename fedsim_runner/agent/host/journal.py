"""The journal: one JSON object per line, on disk as soon as it is written.

A full disk must not hide the end of a course: a reserve of space is held next to the journal from the start and
released when a line does not fit, so that the last events can still be recorded.
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
_KEPT = 10_000  # lines waiting for space


class Journal:
    """Appends events with the time (``t``, Unix seconds). Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Open the journal.

        Raises:
            CannotWriteError: it cannot be created.
        """
        self._file = AppendFile(path)
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque(maxlen=_KEPT)
        self._reserve = path.with_name(RESERVE)
        self.failure: str | None = None
        self._take_reserve()

    @property
    def stuck(self) -> bool:
        """Whether lines that could not be written are waiting."""
        return bool(self._waiting)

    def damage(self) -> str | None:
        """What somebody else has done to the file, so that its readers miss lines; None if nothing."""
        with self._lock:
            return self._file.damage()

    def write(self, event: Event) -> None:
        """Write one line. If that fails, it is kept and tried again with the next one; ``failure`` says why."""
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

    def _take_reserve(self) -> None:
        # Without the reserve the journal still works as long as there is space.
        with contextlib.suppress(OSError), self._reserve.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, RESERVE_BYTES)
