"""Marks of messages, so that one whose answer was lost is not taken twice when it is sent again."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

# The mark's name in the metadata of a call.
MARK = "fedsim-message"
# How many messages are remembered: those that may still be sent again are among the last few.
REMEMBERED = 1000


class Marks:
    """The marks of one sender's messages."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._sender = f"{os.getpid()}-{time.time_ns()}"

    def next(self) -> tuple[tuple[str, str], ...]:
        """The metadata of the next message; each of its attempts has the same."""
        return ((MARK, f"{self._sender}-{next(self._numbers)}"),)


class Seen:
    """The marks that a receiver has seen last. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._marks: deque[str] = deque(maxlen=REMEMBERED)

    def is_new(self, metadata: Iterable[Any]) -> bool:
        """Remember the mark in a call's metadata, and return whether it was not there; without a mark: true."""
        mark = next((value for key, value in metadata if key == MARK), None)
        if mark is None:
            return True
        with self._lock:
            if mark in self._marks:
                return False
            self._marks.append(mark)
            return True
