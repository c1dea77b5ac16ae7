"""Links that vary by themselves: when they begin to, and how punctual that was in the end."""

from __future__ import annotations

from dataclasses import dataclass

from .. import lenient
from ..course_state import CourseState
from ..event import Event, read_as


@dataclass(frozen=True)
class LinksVarying(Event):
    """The gate has opened, and from now on the links of these devices follow their traces, or move between states."""

    name = "links_varying"
    devices: tuple[str, ...] = read_as(lenient.lines, ())


@dataclass(frozen=True)
class LinksVaried(Event):
    """The links of a lab host's devices vary no longer.

    Attributes:
        changes: so many were made; steps that had ended before it was their turn are left out.
        latest_s: seconds from the time of a change until it was in force, the longest of all.
        failed: devices whose link could not be changed at some time, each with the reason.
    """

    name = "links_varied"
    changes: int | None = read_as(lenient.whole)
    latest_s: float | None = read_as(lenient.number)
    failed: tuple[str, ...] = read_as(lenient.lines, ())

    def apply_to(self, course: CourseState) -> None:
        course.varied_links[course.host_of(self)] = self
