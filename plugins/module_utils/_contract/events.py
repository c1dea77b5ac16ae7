"""The events of a run: one class for each event of the journal (``journal.jsonl``).

An event is written as one JSON object with its name in ``event``, its time in ``t`` and the fields of its class. Rounds
count from 1. A new event is one class here, with its fields and, in :meth:`Event.apply_to`, its effect on the course.

Journals of other versions can be read: an event that is not known here is an :class:`UnknownEvent`, a field that is
missing or makes no sense is None. Reading never raises.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, ClassVar

from . import lenient
from .course_state import LASTING, CourseState, Evaluation, Outcome, earlier

_READ = "read"


def _read(reader: Callable[[object], Any], default: Any = None) -> Any:
    """Define a field of an event and how it is read from a journal."""
    return field(default=default, metadata={_READ: reader})


def _results() -> Any:
    return field(default_factory=dict, metadata={_READ: lenient.metrics})


_OWN: dict[type[Event], list[Field[Any]]] = {}


def _own(kind: type[Event]) -> list[Field[Any]]:
    """Return the fields that are the event's own; looked up once, since journals have many events."""
    found = _OWN.get(kind)
    if found is None:
        found = _OWN[kind] = [one for one in fields(kind) if not one.kw_only]
    return found


def _plain(value: Any) -> Any:
    """Return a value as JSON data: NaN and infinities become null."""
    if value is None or type(value) in (str, int):
        return value
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


@dataclass(frozen=True)
class Event:
    """An event of the journal.

    Attributes:
        t: when, in Unix seconds; None until it is written.
        lab_host: whose journal it comes from; None if the run has only one journal.
    """

    name: ClassVar[str] = ""
    known: ClassVar[dict[str, type[Event]]] = {}

    t: float | None = field(default=None, kw_only=True)
    lab_host: str | None = field(default=None, kw_only=True)

    def __init_subclass__(cls) -> None:
        if "name" in cls.__dict__:
            Event.known[cls.name] = cls

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data, without the time and lab host if they are unknown."""
        found: dict[str, Any] = {} if self.t is None else {"t": self.t}
        found["event"] = self.name
        found.update((one.name, _plain(getattr(self, one.name))) for one in _own(type(self)))
        if self.lab_host is not None:
            found["lab_host"] = self.lab_host
        return found

    def to_line(self) -> str:
        """Return the event as a line of the journal, with its line end."""
        return json.dumps(self.as_dict(), allow_nan=False) + "\n"

    @property
    def about(self) -> str | None:
        """The device that the event is about."""
        return getattr(self, "device", None)

    def apply_to(self, course: CourseState) -> None:
        """Change the state of the course; events that are only of interest to people change nothing."""


@dataclass(frozen=True)
class UnknownEvent(Event):
    """An event of another version."""

    kind: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        found = super().as_dict()
        del found["kind"], found["values"]
        return {**found, "event": self.kind, **_plain(self.values)}

    @property
    def about(self) -> str | None:
        return lenient.name(self.values.get("device"))


# -- the lab host and its agent ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EngineMissing(Event):
    """No Docker Engine answers; ``installed``: one is there and only has to be started."""

    name = "engine_wanted"
    installed: bool | None = _read(lenient.flag)


@dataclass(frozen=True)
class AgentStarted(Event):
    """An agent has started; ``backend``: what shapes its links, ``version``: that of its commands."""

    name = "agent_started"
    backend: str | None = _read(lenient.text)
    kernel: str | None = _read(lenient.text)
    version: int | None = _read(lenient.whole)
    congestion_control: str | None = _read(lenient.text)

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
    reason: str | None = _read(lenient.text)


# -- links and gate ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LinkShaped(Event):
    """A device's link is in force."""

    name = "link_shaped"
    device: str | None = _read(lenient.name)
    changed: bool | None = _read(lenient.flag, True)

    def apply_to(self, course: CourseState) -> None:
        if self.device is not None:
            course.shaped.add(self.device)


@dataclass(frozen=True)
class LinkReapplied(Event):
    """A device's container was restarted, and its link is in force again."""

    name = "link_reapplied"
    device: str | None = _read(lenient.name)

    def apply_to(self, course: CourseState) -> None:
        if self.device is not None:
            course.shaped.add(self.device)
            course.restarted.add(self.device)


@dataclass(frozen=True)
class LinkMended(Event):
    """Somebody else had changed a device's link, which is in force again.

    ``found``: what differed; ``for_s``: at most so many seconds long.
    """

    name = "link_mended"
    device: str | None = _read(lenient.name)
    found: str | None = _read(lenient.text)
    for_s: float | None = _read(lenient.number)

    def apply_to(self, course: CourseState) -> None:
        if self.device is not None:
            course.mended.setdefault(self.device, []).append(self)


@dataclass(frozen=True)
class LinkFailed(Event):
    """A device's link could not be restored."""

    name = "link_failed"
    device: str | None = _read(lenient.name)
    reason: str | None = _read(lenient.text)


@dataclass(frozen=True)
class LinksUnshaped(Event):
    """No link is in force, and the experiment allows that."""

    name = "links_unshaped"
    reason: str | None = _read(lenient.text)

    def apply_to(self, course: CourseState) -> None:
        course.unshaped.append(str(self.reason))


@dataclass(frozen=True)
class LoadingStarted(Event):
    """The participants load their engines, a few at a time, before the gate opens.

    ``devices``: how many; ``limit_s``: seconds within which all of them are ready, or the course has failed.
    """

    name = "loading_started"
    devices: int | None = _read(lenient.whole)
    limit_s: float | None = _read(lenient.number)

    def apply_to(self, course: CourseState) -> None:
        if not course.loading:
            course.forget_ended_devices()
        course.loading[course.host_of(self)] = self
        course.loading_began = earlier(course.loading_began, self.t)


@dataclass(frozen=True)
class GateOpened(Event):
    """The participants may start at ``open_at`` (Unix seconds)."""

    name = "gate_opened"
    open_at: float | None = _read(lenient.number)

    def apply_to(self, course: CourseState) -> None:
        course.gate_opens = earlier(course.gate_opens, self.open_at or self.t)
        course.gate_opened = earlier(course.gate_opened, self.t)


# -- devices -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DeviceStarted(Event):
    """A device's container has started."""

    name = "device_started"
    device: str | None = _read(lenient.name)

    def apply_to(self, course: CourseState) -> None:
        course.advance(self.device, "started")


@dataclass(frozen=True)
class DeviceLoading(Event):
    """A participant has been admitted to load its engine, without its CPU limit."""

    name = "device_loading"
    device: str | None = _read(lenient.name)

    def apply_to(self, course: CourseState) -> None:
        course.advance(self.device, "loading")
        if self.device is not None:
            course.devices[self.device].loading_at = self.t


@dataclass(frozen=True)
class DeviceReady(Event):
    """A participant has loaded its engine and is ready for connections."""

    name = "device_ready"
    device: str | None = _read(lenient.name)

    def apply_to(self, course: CourseState) -> None:
        course.advance(self.device, "ready")
        if self.device is not None:
            course.devices[self.device].ready_at = self.t


@dataclass(frozen=True)
class DeviceJoined(Event):
    """The server has accepted a client and given it an id."""

    name = "device_joined"
    device: str | None = _read(lenient.name)
    client_id: int | None = _read(lenient.whole)

    def apply_to(self, course: CourseState) -> None:
        course.advance(self.device, "joined")
        if self.device is not None:
            course.devices[self.device].client_id = self.client_id


@dataclass(frozen=True)
class DeviceFinished(Event):
    """A participant has reached the end of the course."""

    name = "device_finished"
    device: str | None = _read(lenient.name)

    def apply_to(self, course: CourseState) -> None:
        course.advance(self.device, "finished")


@dataclass(frozen=True)
class DeviceExited(Event):
    """A participant's process has ended."""

    name = "device_exited"
    device: str | None = _read(lenient.name)
    exit_code: int | None = _read(lenient.whole)
    oom_killed: bool | None = _read(lenient.flag)

    def apply_to(self, course: CourseState) -> None:
        if self.device is None:
            return
        device = course.devices[self.device]
        device.exit_code = self.exit_code
        device.oom_killed = self.oom_killed or device.oom_killed
        if device.state not in LASTING:
            device.state = "exited"


@dataclass(frozen=True)
class ClientLost(Event):
    """A client was given up, and the course continues without it; ``last_lines``: the end of its log."""

    name = "client_lost"
    device: str | None = _read(lenient.name)
    reason: str | None = _read(lenient.text)
    oom_killed: bool | None = _read(lenient.flag)
    last_lines: tuple[str, ...] = _read(lenient.lines, ())

    def apply_to(self, course: CourseState) -> None:
        if self.device is None:
            return
        device = course.devices[self.device]
        device.state, device.lost, device.error = "lost", True, self.reason
        if self.oom_killed is not None:
            device.oom_killed = self.oom_killed
        course.lost.setdefault(self.device, self)


@dataclass(frozen=True)
class DeviceWarned(Event):
    """A participant's engine has logged a warning that no other participant had logged before."""

    name = "device_warned"
    device: str | None = _read(lenient.name)
    text: str | None = _read(lenient.text)


# -- the course --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RoundStarted(Event):
    """The server sends the model of a round."""

    name = "round_started"
    round: int | None = _read(lenient.whole)

    def apply_to(self, course: CourseState) -> None:
        course.round = max(course.round, self.round or 0)
        course.training_began = earlier(course.training_began, self.t)


@dataclass(frozen=True)
class ClientResult(Event):
    """A client's own results in a round."""

    name = "client_result"
    device: str | None = _read(lenient.name)
    round: int | None = _read(lenient.whole)
    results: Mapping[str, float | None] = _results()


@dataclass(frozen=True)
class RoundDeadline(Event):
    """A round was aggregated at its deadline, with ``arrived`` of the ``wanted`` updates."""

    name = "round_deadline"
    round: int | None = _read(lenient.whole)
    arrived: int | None = _read(lenient.whole)
    wanted: int | None = _read(lenient.whole)

    def apply_to(self, course: CourseState) -> None:
        course.deadlines.append(self)


@dataclass(frozen=True)
class UpdateLate(Event):
    """A client's update was dropped: it came too late, or no aggregation takes it for another reason."""

    name = "update_late"
    device: str | None = _read(lenient.name)
    round: int | None = _read(lenient.whole)

    def apply_to(self, course: CourseState) -> None:
        if self.device is not None:
            course.late_updates[self.device] += 1


@dataclass(frozen=True)
class Evaluated(Event):
    """The model after ``round`` rounds has been evaluated."""

    name = "evaluated"
    round: int | None = _read(lenient.whole)
    results: Mapping[str, float | None] = _results()

    def apply_to(self, course: CourseState) -> None:
        if self.round is None:
            return
        # The last round is evaluated once more at the end of the course: the time of the first evaluation counts.
        course.evaluations.setdefault(self.round, Evaluation(self.t)).results.update(self.results)


@dataclass(frozen=True)
class TargetReached(Event):
    """The accuracy after ``round`` rounds reached the target: the course ends there."""

    name = "target_reached"
    round: int | None = _read(lenient.whole)
    accuracy: float | None = _read(lenient.number)
    target: float | None = _read(lenient.number)

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
    rounds: int | None = _read(lenient.whole)
    results: Mapping[str, float | None] = _results()

    def apply_to(self, course: CourseState) -> None:
        course.ends[course.host_of(self)] = Outcome("finished", t=self.t)
        # Only the server's lab host has results.
        course.final_results = dict(self.results) or course.final_results


@dataclass(frozen=True)
class CourseFailed(Event):
    """The course has failed; ``device``: the one that caused it, ``last_lines``: the end of its log."""

    name = "course_failed"
    device: str | None = _read(lenient.name)
    reason: str | None = _read(lenient.text)
    last_lines: tuple[str, ...] = _read(lenient.lines, ())

    def apply_to(self, course: CourseState) -> None:
        if self.device is not None:
            device = course.devices[self.device]
            device.state, device.error = "failed", self.reason
        course.ends[course.host_of(self)] = Outcome("failed", self.reason, self.device, self.last_lines, self.t)


# -- reading -----------------------------------------------------------------------------------------------------------


def parse(value: object, lab_host: str | None = None) -> Event | None:
    """Return the event in plain data; None if there is none.

    ``lab_host``: whose journal it is from, used if the event does not name it.
    """
    if not isinstance(value, Mapping) or not isinstance(value.get("event"), str):
        return None
    common: dict[str, Any] = {"t": lenient.number(value.get("t"))}
    common["lab_host"] = lenient.name(value.get("lab_host")) or lab_host
    kind = Event.known.get(value["event"])
    if kind is None:
        rest = {str(key): item for key, item in value.items() if key not in ("t", "event", "lab_host")}
        return UnknownEvent(value["event"], rest, **common)
    return kind(**common, **{one.name: one.metadata[_READ](value.get(one.name)) for one in _own(kind)})


def parse_line(line: str, lab_host: str | None = None) -> Event | None:
    """Return the event in a line of a journal; None if there is none, for example in a line cut short by a crash."""
    try:
        return parse(json.loads(line), lab_host)
    except (ValueError, RecursionError):
        return None
