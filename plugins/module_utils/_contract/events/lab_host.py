"""The lab host and its agent."""

from __future__ import annotations

from dataclasses import dataclass

from .. import lenient
from ..course_state import CourseState
from ..emulation import Slowdown, describe_emulated, describe_slowdown
from ..event import Event, read_as
from ..time_scale import read_factor


@dataclass(frozen=True)
class EngineMissing(Event):
    """No Docker Engine answers; ``installed``: one is there and only has to be started."""

    name = "engine_wanted"
    installed: bool | None = read_as(lenient.flag)


@dataclass(frozen=True)
class AgentStarted(Event):
    """An agent has started, or has a run whose time factor is another one now.

    Attributes:
        backend: what shapes its links.
        version: that of its commands.
        time_factor: device seconds in a wall second; None: 1, as in journals of earlier versions.
    """

    name = "agent_started"
    backend: str | None = read_as(lenient.text)
    kernel: str | None = read_as(lenient.text)
    version: int | None = read_as(lenient.whole)
    congestion_control: str | None = read_as(lenient.text)
    time_factor: float | None = read_as(lenient.number)

    def apply_to(self, course: CourseState) -> None:
        course.agents[course.host_of(self)] = self
        course.time_scale = read_factor(self.time_factor)


@dataclass(frozen=True)
class AgentStopped(Event):
    """An agent has ended cleanly."""

    name = "agent_stopped"


@dataclass(frozen=True)
class AgentCannotWrite(Event):
    """A file that the course does not need is incomplete, or could not be changed."""

    name = "agent_cannot_write"
    reason: str | None = read_as(lenient.text)


@dataclass(frozen=True)
class DevicesEmulated(Event):
    """Devices of the lab host whose programs are of another architecture.

    ``python``, ``step``: how many times longer Python code and a training step take there than natively.
    """

    name = "devices_emulated"
    devices: tuple[str, ...] = read_as(lenient.lines, ())
    arch: str | None = read_as(lenient.text)
    host_arch: str | None = read_as(lenient.text)
    engine: str | None = read_as(lenient.text)
    python: float | None = read_as(lenient.number)
    step: float | None = read_as(lenient.number)

    @property
    def note(self) -> str:
        """The same as a sentence."""
        who = describe_emulated(
            self.devices, self.arch or "foreign", self.lab_host or "local", self.host_arch or "another"
        )
        return who + describe_slowdown(self.engine or "unknown", Slowdown(self.python or 1.0, self.step or 1.0))

    def apply_to(self, course: CourseState) -> None:
        course.emulated[self.note] = None
