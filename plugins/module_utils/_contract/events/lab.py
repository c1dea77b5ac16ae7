"""Several lab hosts: their clocks, whom the gate waits for, who is lost, and how they learn of the end."""

from __future__ import annotations

from dataclasses import dataclass

from .. import lenient
from ..course_state import CourseState, Outcome
from ..event import Event, read_as


@dataclass(frozen=True)
class ClockMeasured(Event):
    """The clock of the server's lab host, ``host``, minus that of this one; right within ``bound_s``. In seconds."""

    name = "clock_measured"
    host: str | None = read_as(lenient.name)
    offset_s: float | None = read_as(lenient.number)
    bound_s: float | None = read_as(lenient.number)


@dataclass(frozen=True)
class AwaitingLabHosts(Event):
    """The participants here have loaded, and the gate waits for those of these lab hosts.

    Only the server's lab host knows which those are.
    """

    name = "awaiting_lab_hosts"
    hosts: tuple[str, ...] = read_as(lenient.lines, ())


@dataclass(frozen=True)
class GateMeasured(Event):
    """All lab hosts have opened the gate.

    Attributes:
        skew_s: seconds between the first and the last.
        bound_s: by how much that may be wrong, because of their clocks.
    """

    name = "gate_measured"
    skew_s: float | None = read_as(lenient.number)
    bound_s: float | None = read_as(lenient.number)

    def apply_to(self, course: CourseState) -> None:
        course.gate_skew = self


@dataclass(frozen=True)
class LabHostLost(Event):
    """A lab host was given up, and its devices with it."""

    name = "lab_host_lost"
    host: str | None = read_as(lenient.name)
    reason: str | None = read_as(lenient.text)

    def apply_to(self, course: CourseState) -> None:
        if self.host is not None:
            course.lost_hosts[self.host] = self.reason or ""


@dataclass(frozen=True)
class OutcomeReceived(Event):
    """This lab host has learned from the server's how the course ended."""

    name = "outcome_received"
    status: str | None = read_as(lenient.text)
    reason: str | None = read_as(lenient.text)
    device: str | None = read_as(lenient.name)

    @property
    def about(self) -> str | None:
        return None  # it may be a device of another lab host

    def apply_to(self, course: CourseState) -> None:
        finished = self.status == "finished"
        outcome = Outcome("finished" if finished else "failed", self.reason, self.device, t=self.t)
        course.heard_ends[course.host_of(self)] = outcome


@dataclass(frozen=True)
class LabHostCutOff(Event):
    """This lab host has heard nothing of the server's, ``host``, and has ended its part of the course."""

    name = "lab_host_cut_off"
    host: str | None = read_as(lenient.name)
    reason: str | None = read_as(lenient.text)

    def apply_to(self, course: CourseState) -> None:
        course.heard_ends[course.host_of(self)] = Outcome("failed", self.reason, t=self.t)


@dataclass(frozen=True)
class LabHostUnreachable(Event):
    """The control node does not reach a lab host in a stage that goes on without it; not in a lab host's journal."""

    name = "lab_host_unreachable"
    host: str | None = read_as(lenient.name)
    stage: str | None = read_as(lenient.text)
