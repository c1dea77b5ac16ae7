"""Ctrl-C: the first stops the current work and tears down, the second also stops the teardown.

A terminal that is closed sends SIGHUP, often more than once; nobody asks for anything twice by that, so however many
arrive, they only stop the current work.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """A context manager that counts the signals to stop. For the main thread only.

    Inside another one it begins with the signals that the other has counted, and hands it those of its own at the end:
    of several works one after another, all that are left know of them.
    """

    def __init__(self, on_signal: Callable[[int], None]) -> None:
        """``on_signal`` is called with the count at each signal, outside the signal handler."""
        self._on_signal = on_signal
        self._asked = 0
        self._hung_up = False
        self._reported = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        for number in SIGNALS:
            # nohup makes a program ignore this one on purpose.
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        if (outer := self._outer()) is not None:
            self._asked, self._hung_up = outer._asked, outer._hung_up
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if (outer := self._outer()) is not None:
            outer._asked, outer._hung_up = max(outer._asked, self._asked), outer._hung_up or self._hung_up

    def _outer(self) -> Interrupts | None:
        handlers = (getattr(handler, "__self__", None) for handler in self._before.values())
        return next((owner for owner in handlers if isinstance(owner, Interrupts)), None)

    @property
    def count(self) -> int:
        """How often stopping was asked for so far."""
        return max(self._asked, int(self._hung_up))

    def run(self, work: Callable[[], T], shown: bool = True) -> T:
        """Run ``work`` in a separate thread, so that signals can be handled at any moment, and return its result.

        ``shown``: report the signals that arrive meanwhile.
        """
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
            if shown:
                self.report()
        if errors:
            raise errors[0]
        return results[0]

    def report(self) -> None:
        """Report the signals that arrived since the last call."""
        while self._reported < self.count:
            self._reported += 1
            self._on_signal(self._reported)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._hung_up = True
        else:
            self._asked += 1
