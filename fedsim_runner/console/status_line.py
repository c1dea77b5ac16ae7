"""The current stage and its duration: beginning a stage ends the previous one."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.markup import escape
from rich.status import Status

DRAWN_PER_SECOND = 1  # as often as the clock in the view changes; each costs 15 ms


class _Current:
    """What there is to see at the moment, also when a line printed above it has it drawn again."""

    def __init__(self, view: Callable[[], RenderableType]) -> None:
        self._view = view

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._view()


class StatusLine:
    """Animated on a terminal; elsewhere a line for each begin and end. For one thread at a time."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage: str | None = None
        self._began = 0.0
        self._status: Status | None = None
        self._live: Live | None = None

    @property
    def seconds(self) -> float:
        """How long the stage has been running."""
        return time.monotonic() - self._began

    def begin(self, stage: str, view: Callable[[], RenderableType] | None = None) -> None:
        """Begin a stage; ``view``: drawn below all lines of a terminal while the stage runs."""
        self.end()
        self._stage, self._began = stage, time.monotonic()
        if not self._console.is_terminal:
            self._console.print(f"{stage} ...", markup=False, highlight=False)
        elif view is None:
            self._status = self._console.status(f"{escape(stage)} ...")
            self._status.start()
        else:
            self._live = Live(
                _Current(view),
                console=self._console,
                refresh_per_second=DRAWN_PER_SECOND,
                transient=True,
                vertical_overflow="crop",
            )
            self._live.start()

    def redraw(self) -> None:
        """Draw the view again at once, if there is one."""
        live = self._live
        if live is not None:
            live.refresh()

    def detail(self, text: str) -> None:
        """Show what is known about the stage so far, next to its name."""
        if self._status is not None:
            self._status.update(f"{escape(self._stage or '')} ... [dim]{escape(text)}[/]")

    def end(self, failed: bool = False) -> None:
        """End the stage; do nothing if none is running."""
        for shown in (self._live, self._status):
            if shown is not None:
                shown.stop()
        self._live = self._status = None
        if self._stage is None:
            return
        if self._console.is_terminal:
            sign = "[red]✗[/]" if failed else "[green]✓[/]"
            self._console.print(f"{sign} {escape(self._stage)} [dim]{self.seconds:.1f} s[/]", highlight=False)
        else:
            mark = "failed after" if failed else "done in"
            self._console.print(f"{self._stage} {mark} {self.seconds:.1f} s", markup=False, highlight=False)
        self._stage = None
