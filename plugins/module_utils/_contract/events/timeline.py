"""The entries of a run's timeline, as they happen."""

from __future__ import annotations

from dataclasses import dataclass

from .. import lenient
from ..course_state import CourseState
from ..event import Event, read_as


@dataclass(frozen=True)
class TimelineEvent(Event):
    """What is said of an entry whenever something becomes of it.

    Attributes:
        number: the entry's.
        devices: those of the lab host for which it happened.
        what: what happened, as the plan says it.
        due: when it was to happen, in Unix seconds.
    """

    number: int | None = read_as(lenient.whole)
    devices: tuple[str, ...] = read_as(lenient.lines, ())
    what: str | None = read_as(lenient.text)
    due: float | None = read_as(lenient.number)

    def apply_to(self, course: CourseState) -> None:
        course.timeline.append(self)


@dataclass(frozen=True)
class EventBegun(TimelineEvent):
    """An entry is in force.

    ``late_s``: seconds from its time until then; ``found``: what the kernel or the link back end had then.
    """

    name = "event_begun"
    late_s: float | None = read_as(lenient.number)
    found: str | None = read_as(lenient.text)


@dataclass(frozen=True)
class EventEnded(TimelineEvent):
    """An entry's duration is over, and it has been taken back; the fields are those of :class:`EventBegun`."""

    name = "event_ended"
    late_s: float | None = read_as(lenient.number)
    found: str | None = read_as(lenient.text)


@dataclass(frozen=True)
class EventFailed(TimelineEvent):
    """An entry could not be put into force, or not be taken back: ``reason``."""

    name = "event_failed"
    reason: str | None = read_as(lenient.text)
