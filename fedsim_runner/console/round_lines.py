"""What happens within a round, in lines for output that is no terminal: nobody waits for minutes without a word."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..contract.events import ClientResult, Event, RoundStarted
from ..contract.time_scale import REAL_TIME, TimeScale
from .course_now import CourseNow

# After so many seconds without a line there is one: with something new to tell, and without.
WITH_NEWS_S = 10.0
WITHOUT_NEWS_S = 30.0
SHOWN_NAMES = 4
# States of devices that others wait for, or may wait for.
AWAITED = ("training", "evaluating", "sending", "receiving", "aggregating", "joining", "offline")


class RoundLines:
    """Decides when a line is due, and writes it. Times are those of events and snapshots (Unix seconds)."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._news = False
        self._round = 0
        self._began: float | None = None
        self._trained: dict[str, float | None] = {}

    def add(self, event: Event) -> None:
        """Take note of a round's start or a client's training; events about something else are ignored."""
        match event:
            case RoundStarted(round=int(number)) if number > self._round:
                self._round, self._began, self._trained, self._news = number, event.t, {}, True
                self._last = event.t if self._last is None else self._last
            case ClientResult(device=str(device)) if event.round == self._round and _is_training(event.results):
                self._trained[device] = event.results.get("train_avg_loss")
                self._news = True

    def has_printed(self, t: float | None) -> None:
        """A line about the round has been printed at this time."""
        self._last, self._news = t or self._last, False

    def due(self, t: float | None, course: CourseNow, scale: TimeScale = REAL_TIME) -> str | None:
        """Return a line about the round if it is time for one; ``scale``: that of the run."""
        if t is None or self._last is None or not self._round:
            return None
        if t - self._last < (WITH_NEWS_S if self._news else WITHOUT_NEWS_S):
            return None
        self.has_printed(t)
        parts = [f"round {self._round}/{course.total_rounds or '?'}"]
        if self._began is not None:
            parts.append(f"for {describe_span(max(0.0, t - self._began), scale, 0)}")
        if self._trained:
            parts.append(f"trained: {join_names([_with_loss(*one) for one in self._trained.items()])}")
        for state in AWAITED:
            names = [device.name for device in course.devices if device.state == state]
            if names:
                parts.append(f"{state}: {join_names(names)}")
        return "  ".join(parts)


def describe_span(wall_seconds: float, scale: TimeScale, digits: int = 2) -> str:
    """Return a span of time for people; of a dilated run in device time, with wall time beside it."""
    wall = f"{wall_seconds:.{digits}f} s"
    return wall if scale.is_real else f"{scale.to_device(wall_seconds):.{digits}f} s ({wall} of wall time)"


def join_names(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return ", ".join(names[:SHOWN_NAMES]) + more


def _is_training(metrics: Collection[str]) -> bool:
    return any(metric.startswith("train_") for metric in metrics)


def _with_loss(device: str, loss: float | None) -> str:
    return device if loss is None else f"{device} (loss {loss:.4g})"
