"""The lab host and its agent."""

from __future__ import annotations

from dataclasses import dataclass

from .. import lenient
from ..course_state import CourseState
from ..event import Event, read_as


@dataclass(frozen=True)
class EngineMissing(Event):
    """No Docker Engine answers; ``installed``: one is there and only has to be started."""

    name = "engine_wanted"
    installed: bool | None = read_as(lenient.flag)


@dataclass(frozen=True)
class AgentStarted(Event):
    """An agent has started; ``backend``: what shapes its links, ``version``: that of its commands."""

    name = "agent_started"
    backend: str | None = read_as(lenient.text)
    kernel: str | None = read_as(lenient.text)
    version: int | None = read_as(lenient.whole)
    congestion_control: str | None = read_as(lenient.text)

    def apply_to(self, course: CourseState) -> None:
        course.agents[course.host_of(self)] = self


@dataclass(frozen=True)
class AgentStopped(Event):
    """An agent has ended cleanly."""

    name = "agent_stopped"


@dataclass(frozen=True)
class AgentCannotWrite(Event):
    """A file that the course does not need is incomplete, or could not be changed."""

    name = "agent_cannot_write"
    reason: str | None = read_as(lenient.text)
