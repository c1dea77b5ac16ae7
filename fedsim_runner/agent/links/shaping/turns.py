"""Several changes of the same links, some of which are made before others that were prepared earlier."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator, Mapping

from ..changes import Changes, Turn


class Turns:
    """Whose turn it is: one change at a time is made, and none over what was prepared after it, knowing of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._made: dict[tuple[str, str], int] = {}  # the last change, as they were prepared, of each setting

    def prepare(self, changes: Mapping[str, Changes]) -> Turn:
        """Prepare a change of these settings of devices; to be called in the order in which they are prepared."""
        number = next(self._numbers)

        @contextlib.contextmanager
        def turn() -> Iterator[Mapping[str, Changes]]:
            with self._lock:
                yield self._take(number, changes)

        return turn

    def _take(self, number: int, changes: Mapping[str, Changes]) -> dict[str, Changes]:
        left: dict[str, Changes] = {}
        for name, change in changes.items():
            items = {item: pair for item, pair in change.items() if self._made.get((name, item), 0) < number}
            self._made |= dict.fromkeys(((name, item) for item in items), number)
            if items:
                left[name] = items
        return left
