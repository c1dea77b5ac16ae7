"""Rounds, results and the end of the course."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .. import lenient
from ..course_state import CourseState, Evaluation, Outcome, earlier
from ..event import Event, read_as, read_results


@dataclass(frozen=True)
class RoundStarted(Event):
    """The server sends the model of a round."""

    name = "round_started"
    round: int | None = read_as(lenient.whole)

    def apply_to(self, course: CourseState) -> None:
        course.round = max(course.round, self.round or 0)
        course.training_began = earlier(course.training_began, self.t)


@dataclass(frozen=True)
class ClientResult(Event):
    """A client's own results in a round."""

    name = "client_result"
    device: str | None = read_as(lenient.name)
    round: int | None = read_as(lenient.whole)
    results: Mapping[str, float | None] = read_results()


@dataclass(frozen=True)
class RoundDeadline(Event):
    """A round was aggregated at its deadline, with ``arrived`` of the ``wanted`` updates."""

    name = "round_deadline"
    round: int | None = read_as(lenient.whole)
    arrived: int | None = read_as(lenient.whole)
    wanted: int | None = read_as(lenient.whole)

    def apply_to(self, course: CourseState) -> None:
        course.deadlines.append(self)


@dataclass(frozen=True)
class RoundQuorum(Event):
    """A round was aggregated with its quorum, ``arrived`` of the ``wanted`` updates."""

    name = "round_quorum"
    round: int | None = read_as(lenient.whole)
    arrived: int | None = read_as(lenient.whole)
    wanted: int | None = read_as(lenient.whole)

    def apply_to(self, course: CourseState) -> None:
        course.quorums.append(self)


@dataclass(frozen=True)
class UpdateLate(Event):
    """A client's update was dropped: it came too late, or no aggregation takes it for another reason."""

    name = "update_late"
    device: str | None = read_as(lenient.name)
    round: int | None = read_as(lenient.whole)

    def apply_to(self, course: CourseState) -> None:
        if self.device is not None:
            course.late_updates[self.device] += 1


@dataclass(frozen=True)
class Evaluated(Event):
    """The model after ``round`` rounds has been evaluated."""

    name = "evaluated"
    round: int | None = read_as(lenient.whole)
    results: Mapping[str, float | None] = read_results()

    def apply_to(self, course: CourseState) -> None:
        if self.round is None:
            return
        # The last round is evaluated once more at the end of the course: the time of the first evaluation counts.
        course.evaluations.setdefault(self.round, Evaluation(self.t)).results.update(self.results)


@dataclass(frozen=True)
class TargetReached(Event):
    """The accuracy after ``round`` rounds reached the target: the course ends there."""

    name = "target_reached"
    round: int | None = read_as(lenient.whole)
    accuracy: float | None = read_as(lenient.number)
    target: float | None = read_as(lenient.number)

    def apply_to(self, course: CourseState) -> None:
        course.target_reached = self


@dataclass(frozen=True)
class TrainingFinished(Event):
    """The last round is over, but not yet evaluated."""

    name = "training_finished"


@dataclass(frozen=True)
class CourseFinished(Event):
    """The course has succeeded for this lab host's participants."""

    name = "course_finished"
    rounds: int | None = read_as(lenient.whole)
    results: Mapping[str, float | None] = read_results()

    def apply_to(self, course: CourseState) -> None:
        course.ends[course.host_of(self)] = Outcome("finished", t=self.t)
        # Only the server's lab host has results.
        course.final_results = dict(self.results) or course.final_results


@dataclass(frozen=True)
class CourseFailed(Event):
    """The course has failed; ``device``: the one that caused it, ``last_lines``: the end of its log."""

    name = "course_failed"
    device: str | None = read_as(lenient.name)
    reason: str | None = read_as(lenient.text)
    last_lines: tuple[str, ...] = read_as(lenient.lines, ())

    def apply_to(self, course: CourseState) -> None:
        if self.device is not None:
            device = course.devices[self.device]
            device.state, device.error = "failed", self.reason
        course.ends[course.host_of(self)] = Outcome("failed", self.reason, self.device, self.last_lines, self.t)
