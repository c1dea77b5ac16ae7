"""Shows a testbed's events as progress, and passes the user's Ctrl-C on to the testbed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
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
    """A context manager around a verb that makes a testbed work. For the main thread only.

    Args:
        progress: shows what happens. Output that is lost (a pipe closed, a disk full) never disturbs the work.
        on_interrupt: message that says what the first Ctrl-C does.
        needs_output: whether lost output stops the work as the first Ctrl-C does.
    """

    def __init__(self, progress: Progress, on_interrupt: str, needs_output: bool = False) -> None:
        self.progress = progress
        self._on_interrupt = on_interrupt
        self._needs_output = needs_output
        self._outliving = ExitStack()
        self._interrupts = Interrupts(self._interrupted)
        self._events: list[Mapping[str, Any]] = []

    def __enter__(self) -> RunListener:
        self._outliving.enter_context(self.progress.outliving_output())
        self._interrupts.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._interrupts.__exit__(kind, error, traceback)
        self.progress.close()
        self._outliving.close()

    @property
    def interrupts(self) -> int:
        """How often stopping was asked for; the first time may have been that there was nobody to work for any more."""
        lost = self._needs_output and self.progress.output_lost
        return max(self._interrupts.count, int(lost))

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

    def run_unseen(self, work: Callable[[Listener], T], ignore_interrupts: int = 0) -> T:
        """Like :meth:`run` without showing anything: what shows it may be what is broken.

        Raises:
            Stopped: it ended early.
        """
        return self._interrupts.run(lambda: work(_UnseenListener(self, ignore_interrupts)), shown=False)

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


class _UnseenListener:
    """A :class:`Listener` for one piece of work that shows nothing."""

    def __init__(self, owner: RunListener, ignore_interrupts: int) -> None:
        self._owner = owner
        self._ignore_interrupts = ignore_interrupts

    def stage(self, name: str) -> None:
        """It is not shown."""

    def detail(self, text: str) -> None:
        """It is not shown."""

    def event(self, event: Mapping[str, Any]) -> None:
        """It is not shown."""

    def snapshot(self, snapshot: Mapping[str, Any]) -> None:
        """It is not shown."""

    def cancelled(self) -> bool:
        return self._owner.interrupts > self._ignore_interrupts


class _WorkListener(_UnseenListener):
    """A :class:`Listener` for one piece of work."""

    def stage(self, name: str) -> None:
        self._owner.progress.stage(name)

    def detail(self, text: str) -> None:
        self._owner.progress.detail(text)

    def event(self, event: Mapping[str, Any]) -> None:
        self._owner.on_event(event)

    def snapshot(self, snapshot: Mapping[str, Any]) -> None:
        self._owner.progress.snapshot(snapshot)
