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
        begin: what each thread does first.
    """

    def __init__(self, name: str, workers: int, begin: Callable[[], object] = lambda: None) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._begin = begin
        self._threads = [threading.Thread(target=self._run, name=name, daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[], None]) -> None:
        """Do this when a thread is free. An exception ends the thread, as in any other."""
        self._work.put(work)

    def close(self, wait: bool = False) -> None:
        """End the threads once they have done what was submitted; ``wait`` until then, unless one of them calls."""
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads if wait and threading.current_thread() not in self._threads else ():
            thread.join()

    def _run(self) -> None:
        self._begin()
        while (work := self._work.get()) is not None:
            work()
