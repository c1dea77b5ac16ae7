"""Ctrl-C: the first stops what is going on and tears down, the second stops the tearing down too."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Counts the signals that ask to stop, while it is entered. The main thread only."""

    def __init__(self, told: Callable[[int], None]) -> None:
        """``told`` is called with the count of each signal, outside of the signal handler."""
        self._told = told
        self._count = 0
        self._told_up_to = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        for number in SIGNALS:
            # nohup ignores this one on purpose.
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def count(self) -> int:
        """Signals so far."""
        return self._count

    def run(self, work: Callable[[], T]) -> T:
        """Do ``work`` in a thread of its own, so that signals are taken at any moment, and return its result."""
        results: list[T] = []
        errors: list[BaseException] = []

        def guarded() -> None:
            try:
                results.append(work())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(0.1)
            self.tell()
        if errors:
            raise errors[0]
        return results[0]

    def tell(self) -> None:
        """Report signals that came since the last call."""
        while self._told_up_to < self._count:
            self._told_up_to += 1
            self._told(self._told_up_to)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1
