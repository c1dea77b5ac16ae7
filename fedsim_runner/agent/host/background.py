"""Work that may wait for someone else for a long time, such as a busy Engine, done by a few threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


class Background:
    """Daemon threads that take work from one queue: a process that ends does not wait for them.

    Args:
        name: of the threads.
        workers: how many calls are under way at once.
    """

    def __init__(self, name: str, workers: int) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._workers = workers
        for _ in range(workers):
            threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, work: Callable[[], None]) -> None:
        """Do this when a thread is free. An exception ends the thread, as in any other."""
        self._work.put(work)

    def close(self) -> None:
        """End the threads once they have done what was submitted."""
        for _ in range(self._workers):
            self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
