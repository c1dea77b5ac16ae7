"""Shows a testbed's events as progress, and passes the user's Ctrl-C on to the testbed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from ..console.interrupts import Interrupts
from ..console.progress import Progress
from ..contract.paths import JOURNAL
from .values import Listener, Stopped

T = TypeVar("T")
AGAIN = "interrupted again: stopping immediately"


class RunListener:
    """A context manager around a verb that makes a testbed work. For the main thread only."""

    def __init__(self, progress: Progress, on_interrupt: str) -> None:
        self.progress = progress
        self._on_interrupt = on_interrupt
        self._interrupts = Interrupts(self._interrupted)
        self._events: list[Mapping[str, Any]] = []

    def __enter__(self) -> RunListener:
        self._interrupts.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._interrupts.__exit__(kind, error, traceback)
        self.progress.close()

    @property
    def interrupts(self) -> int:
        """How often the user asked to stop."""
        return self._interrupts.count

    def run(self, work: Callable[[Listener], T], ignore_interrupts: int = 0) -> T:
        """Have a testbed do ``work``; it ignores that many requests to stop and ends at the next one.

        Raises:
            Stopped: it ended early.
        """
        try:
            result = self._interrupts.run(lambda: work(_WorkListener(self, ignore_interrupts)))
        except Stopped:
            self.progress.close(failed=True)
            raise
        self.progress.close()
        return result

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Keep and show a journal event."""
        self._events.append(event)
        self.progress.event(event)

    def save_journal_if_missing(self, folder: Path) -> None:
        """Write the events that arrived to the run folder if the journal itself could not be fetched."""
        path = folder / JOURNAL
        if self._events and not path.exists():
            text = "".join(json.dumps(dict(event)) + "\n" for event in self._events)
            path.write_text(text, encoding="utf-8")

    def _interrupted(self, count: int) -> None:
        if count == 1:
            self.progress.note(self._on_interrupt)
        elif count == 2:
            self.progress.note(AGAIN)


class _WorkListener:
    """A :class:`Listener` for one piece of work."""

    def __init__(self, owner: RunListener, ignore_interrupts: int) -> None:
        self._owner = owner
        self._ignore_interrupts = ignore_interrupts

    def stage(self, name: str) -> None:
        self._owner.progress.stage(name)

    def event(self, event: Mapping[str, Any]) -> None:
        self._owner.on_event(event)

    def snapshot(self, snapshot: Mapping[str, Any]) -> None:
        self._owner.progress.snapshot(snapshot)

    def cancelled(self) -> bool:
        return self._owner.interrupts > self._ignore_interrupts
