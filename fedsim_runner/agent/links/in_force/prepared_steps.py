"""Steps of links that vary by themselves: prepared long before their time, and anew if an event comes before them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from fedsim_runner.contract.link import Links

from ..deviation import Deviation
from ..shaping.results import Result
from .live_changes import LiveChange


@dataclass
class Step:
    """One that was prepared.

    Attributes:
        due_s: when it comes, on the monotonic clock.
        varied: by device, what links are from then on.
        before: by device, what they are until then; None: as planned.
        changes: what is to be completed of it.
        is_over: all of that has been, so nothing can be added.
    """

    due_s: float
    varied: Mapping[str, Links]
    before: Mapping[str, Links | None]
    changes: list[LiveChange] = field(default_factory=list)
    is_over: bool = False

    def onto(self, deviation: Deviation) -> Deviation:
        """What is in force once it has come."""
        return replace(deviation, varied={**deviation.varied, **self.varied})

    def back_from(self, deviation: Deviation) -> Deviation:
        """What is in force before it comes, if it was the last."""
        varied = {**deviation.varied, **self.before}
        return replace(deviation, varied={name: links for name, links in varied.items() if links is not None})


class Begin(Protocol):
    """Prepares to bring links to a deviation, with the lock of the links."""

    def __call__(self, deviation: Deviation, due_s: float, reads_back: bool = True) -> LiveChange: ...


class PreparedSteps:
    """Those that may still be to come, in the order in which they were prepared, which is that of their times.

    Args:
        lock: of the links.
        begin: prepares what is due.
        expect: has links be taken for those of a deviation, as what was prepared for later is to be prepared anew.
    """

    def __init__(self, lock: threading.RLock, begin: Begin, expect: Callable[[Deviation], None]) -> None:
        self._lock = lock
        self._begin = begin
        self._expect = expect
        self._steps: list[Step] = []

    def begin_step(
        self, deviation: Deviation, varied: Mapping[str, Links], due_s: float
    ) -> Callable[[], dict[str, Result]]:
        """Prepare a step, with the lock; what is returned is called without it, waits, and may raise a LinkError.

        Args:
            deviation: what links were brought to last.
            varied: what they are from then on, by device.
            due_s: when, on the monotonic clock; no earlier than that of the last step.
        """
        step = Step(due_s, varied, {name: deviation.varied.get(name) for name in varied})
        step.changes.append(self._begin(step.onto(deviation), due_s, reads_back=False))
        self._steps = [*(one for one in self._steps if not one.is_over), step]
        return partial(self._complete, step)

    def begin_change(self, deviation: Deviation, update: Callable[[Deviation], Deviation], due_s: float) -> LiveChange:
        """Prepare another change, with the lock, and once more the steps that come after it: with it.

        Args:
            deviation: what links were brought to last.
            update: changes it.
            due_s: when, on the monotonic clock.
        """
        at_s = max(due_s, time.monotonic())
        later = [one for one in self._steps if not one.is_over and one.due_s > at_s]
        for step in reversed(later):
            deviation = step.back_from(deviation)
        if later:
            self._expect(deviation)
        deviation = update(deviation)
        change = self._begin(deviation, due_s)
        for step in later:
            deviation = step.onto(deviation)
            step.changes.append(self._begin(deviation, step.due_s, reads_back=False))
        return change

    def _complete(self, step: Step) -> dict[str, Result]:
        """Wait for a step, and return what has become of it, by device."""
        results: dict[str, Result] = {}
        while True:
            with self._lock:
                if not step.changes:
                    step.is_over = True
                    return results
                change = step.changes.pop(0)
            results |= change.complete()
