"""The participants load, and the gate opens."""

from __future__ import annotations

from dataclasses import dataclass

from .. import lenient
from ..course_state import CourseState, earlier
from ..event import Event, read_as


@dataclass(frozen=True)
class LoadingStarted(Event):
    """The participants load their engines, a few at a time, before the gate opens.

    ``devices``: how many; ``limit_s``: seconds within which all of them are ready, or the course has failed.
    """

    name = "loading_started"
    devices: int | None = read_as(lenient.whole)
    limit_s: float | None = read_as(lenient.number)

    def apply_to(self, course: CourseState) -> None:
        if not course.loading:
            course.forget_ended_devices()
        course.loading[course.host_of(self)] = self
        course.loading_began = earlier(course.loading_began, self.t)


@dataclass(frozen=True)
class LimitCorrected(Event):
    """A device's CPU limit is ``cpus`` cores of its lab host instead of ``before``, as its reference step was timed."""

    name = "limit_corrected"
    device: str | None = read_as(lenient.name)
    before: float | None = read_as(lenient.number)
    cpus: float | None = read_as(lenient.number)

    def apply_to(self, course: CourseState) -> None:
        if self.device is not None and self.cpus is not None and self.cpus > 0:
            course.corrected_cpus[self.device] = self.cpus


@dataclass(frozen=True)
class GateOpened(Event):
    """The participants may start at ``open_at`` (Unix seconds)."""

    name = "gate_opened"
    open_at: float | None = read_as(lenient.number)

    def apply_to(self, course: CourseState) -> None:
        course.gate_opens = earlier(course.gate_opens, self.open_at or self.t)
        course.gate_opened = earlier(course.gate_opened, self.t)
