"""The events of a run: one class for each event of the journal (``journal.jsonl``).

An event is written as one JSON object with its name in ``event``, its time in ``t`` and the fields of its class. Rounds
count from 1. A new event is one class here, with its fields and, in :meth:`Event.apply_to`, its effect on the course.

Journals of other versions can be read: an event that is not known here is an :class:`UnknownEvent`, a field that is
missing or makes no sense is None. Reading never raises.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from . import lenient
from .course_state import LASTING, CourseState, Evaluation, Outcome, earlier
from .event import Event as Event
from .event import UnknownEvent as UnknownEvent
from .event import read_as, read_results
from .link_verdict import OUT, WITHIN

#: Names that journals of earlier versions have, and today's.
FORMER_NAMES = {"link_mended": "link_restored"}

# -- the lab host and its agent ----------------------------------------------------------------------------------------


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


# -- links and gate ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LinkShaped(Event):
    """A device's link is in force."""

    name = "link_shaped"
    device: str | None = read_as(lenient.name)
    changed: bool | None = read_as(lenient.flag, True)

    def apply_to(self, course: CourseState) -> None:
        if self.device is not None:
            course.shaped.add(self.device)


@dataclass(frozen=True)
class LinkReapplied(Event):
    """A device's container was restarted, and its link is in force again."""

    name = "link_reapplied"
    device: str | None = read_as(lenient.name)

    def apply_to(self, course: CourseState) -> None:
        if self.device is not None:
            course.shaped.add(self.device)
            course.restarted.add(self.device)


@dataclass(frozen=True)
class LinkRestored(Event):
    """Somebody else had changed a device's link, which is in force again.

    ``found``: what differed; ``for_s``: at most so many seconds long.
    """

    name = "link_restored"
    device: str | None = read_as(lenient.name)
    found: str | None = read_as(lenient.text)
    for_s: float | None = read_as(lenient.number)

    def apply_to(self, course: CourseState) -> None:
        if self.device is not None:
            course.restored_links.setdefault(self.device, []).append(self)


@dataclass(frozen=True)
class LinkFailed(Event):
    """A device's link could not be restored."""

    name = "link_failed"
    device: str | None = read_as(lenient.name)
    reason: str | None = read_as(lenient.text)


@dataclass(frozen=True)
class LinksUnshaped(Event):
    """No link is in force, and the experiment allows that."""

    name = "links_unshaped"
    reason: str | None = read_as(lenient.text)

    def apply_to(self, course: CourseState) -> None:
        course.unshaped.append(str(self.reason))


@dataclass(frozen=True)
class PacketsTimed(Event):
    """How punctual the process was that holds a lab host's packets, from its start to the end of the course.

    ``packets``: those that passed; ``late_1ms`` and ``late_5ms``: those that left so much later than they were due;
    ``latest_us``: the latest; ``scheduling``: how that process runs.
    """

    name = "packets_timed"
    packets: int | None = read_as(lenient.whole)
    late_1ms: int | None = read_as(lenient.whole)
    late_5ms: int | None = read_as(lenient.whole)
    latest_us: int | None = read_as(lenient.whole)
    scheduling: str | None = read_as(lenient.text)

    def apply_to(self, course: CourseState) -> None:
        course.packets[course.host_of(self)] = self


@dataclass(frozen=True)
class LinkMeasured(Event):
    """What one direction of a device's link was measured to be, before the gate opens or when somebody asked for it.

    ``asked`` in a field's name: what the experiment says. ``verdict``: within, out or undetermined; ``reason``: why it
    is not within. None for what could not be measured.
    """

    name = "link_measured"
    device: str | None = read_as(lenient.name)
    direction: str | None = read_as(lenient.name)
    delay_asked_us: int | None = read_as(lenient.whole)
    delay_us: int | None = read_as(lenient.whole)
    jitter_asked_us: int | None = read_as(lenient.whole)
    jitter_us: int | None = read_as(lenient.whole)
    rate_asked_bps: int | None = read_as(lenient.whole)
    rate_bps: int | None = read_as(lenient.whole)
    loss_asked: float | None = read_as(lenient.number)
    loss: float | None = read_as(lenient.number)
    burst_bytes: int | None = read_as(lenient.whole)
    sent: int | None = read_as(lenient.whole)
    lost: int | None = read_as(lenient.whole)
    verdict: str | None = read_as(lenient.text)
    reason: str | None = read_as(lenient.text)

    def apply_to(self, course: CourseState) -> None:
        if self.device is not None and self.direction is not None:
            course.measured_links[self.device, self.direction] = self


@dataclass(frozen=True)
class LinksMeasured(Event):
    """The links of a lab host's devices were measured: how many directions with each verdict.

    ``seconds``: how long it took; ``reason``: why they were not measured.
    """

    name = "links_measured"
    within: int | None = read_as(lenient.whole)
    out: int | None = read_as(lenient.whole)
    undetermined: int | None = read_as(lenient.whole)
    seconds: float | None = read_as(lenient.number)
    reason: str | None = read_as(lenient.text)


@dataclass(frozen=True)
class LinkCounted(Event):
    """What passed one direction of a device's link during the course, and what that says about its rate and loss.

    Attributes:
        packets: that were sent over it.
        lost: those of them that did not arrive, without ``overflowed``, for which the queue had no room.
        bytes: of those that did.
        rate_bps: the highest rate over a second or more.
        rate_verdict: within, out or undetermined; None: the rate is not limited.
        loss_verdict: within, out or undetermined.
        reason: what is out, and why.
    """

    name = "link_counted"
    device: str | None = read_as(lenient.name)
    direction: str | None = read_as(lenient.name)
    packets: int | None = read_as(lenient.whole)
    lost: int | None = read_as(lenient.whole)
    overflowed: int | None = read_as(lenient.whole)
    bytes: int | None = read_as(lenient.whole)
    rate_asked_bps: int | None = read_as(lenient.whole)
    rate_bps: int | None = read_as(lenient.whole)
    loss_asked: float | None = read_as(lenient.number)
    rate_verdict: str | None = read_as(lenient.text)
    loss_verdict: str | None = read_as(lenient.text)
    reason: str | None = read_as(lenient.text)

    def apply_to(self, course: CourseState) -> None:
        if self.device is not None and self.direction is not None:
            known = course.counted_links.get((self.device, self.direction), self)
            found = self if known.lab_host == self.lab_host else known.with_those_of(self)
            course.counted_links[self.device, self.direction] = found

    def with_those_of(self, other: LinkCounted) -> LinkCounted:
        """What both lab hosts have counted of the same direction; the worse verdict, and any rather than none."""
        return replace(
            self,
            packets=(self.packets or 0) + (other.packets or 0),
            lost=(self.lost or 0) + (other.lost or 0),
            overflowed=(self.overflowed or 0) + (other.overflowed or 0),
            bytes=(self.bytes or 0) + (other.bytes or 0),
            rate_bps=max(self.rate_bps or 0, other.rate_bps or 0),
            rate_verdict=_worse(self.rate_verdict, other.rate_verdict),
            loss_verdict=_worse(self.loss_verdict, other.loss_verdict),
            reason="; ".join(reason for reason in (self.reason, other.reason) if reason) or None,
        )


def _worse(one: str | None, other: str | None) -> str | None:
    return next((verdict for verdict in (OUT, WITHIN) if verdict in (one, other)), one or other)


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
class GateOpened(Event):
    """The participants may start at ``open_at`` (Unix seconds)."""

    name = "gate_opened"
    open_at: float | None = read_as(lenient.number)

    def apply_to(self, course: CourseState) -> None:
        course.gate_opens = earlier(course.gate_opens, self.open_at or self.t)
        course.gate_opened = earlier(course.gate_opened, self.t)


# -- devices -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DeviceStarted(Event):
    """A device's container has started."""

    name = "device_started"
    device: str | None = read_as(lenient.name)

    def apply_to(self, course: CourseState) -> None:
        course.advance(self.device, "started")


@dataclass(frozen=True)
class DeviceLoading(Event):
    """A participant has been admitted to load its engine, without its CPU limit."""

    name = "device_loading"
    device: str | None = read_as(lenient.name)

    def apply_to(self, course: CourseState) -> None:
        course.advance(self.device, "loading")
        if self.device is not None:
            course.devices[self.device].loading_at = self.t


@dataclass(frozen=True)
class DeviceReady(Event):
    """A participant has loaded its engine and is ready for connections."""

    name = "device_ready"
    device: str | None = read_as(lenient.name)

    def apply_to(self, course: CourseState) -> None:
        course.advance(self.device, "ready")
        if self.device is not None:
            course.devices[self.device].ready_at = self.t


@dataclass(frozen=True)
class DeviceJoined(Event):
    """The server has accepted a client and given it an id."""

    name = "device_joined"
    device: str | None = read_as(lenient.name)
    client_id: int | None = read_as(lenient.whole)

    def apply_to(self, course: CourseState) -> None:
        course.advance(self.device, "joined")
        if self.device is not None:
            course.devices[self.device].client_id = self.client_id


@dataclass(frozen=True)
class DeviceFinished(Event):
    """A participant has reached the end of the course."""

    name = "device_finished"
    device: str | None = read_as(lenient.name)

    def apply_to(self, course: CourseState) -> None:
        course.advance(self.device, "finished")


@dataclass(frozen=True)
class DeviceExited(Event):
    """A participant's process has ended."""

    name = "device_exited"
    device: str | None = read_as(lenient.name)
    exit_code: int | None = read_as(lenient.whole)
    oom_killed: bool | None = read_as(lenient.flag)

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
    device: str | None = read_as(lenient.name)
    reason: str | None = read_as(lenient.text)
    oom_killed: bool | None = read_as(lenient.flag)
    last_lines: tuple[str, ...] = read_as(lenient.lines, ())

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
    device: str | None = read_as(lenient.name)
    text: str | None = read_as(lenient.text)


# -- the course --------------------------------------------------------------------------------------------------------


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


# -- reading -----------------------------------------------------------------------------------------------------------


def parse(value: object, lab_host: str | None = None) -> Event | None:
    """Return the event in plain data; None if there is none.

    ``lab_host``: whose journal it is from, used if the event does not name it.
    """
    if not isinstance(value, Mapping) or not isinstance(value.get("event"), str):
        return None
    t, lab_host = lenient.number(value.get("t")), lenient.name(value.get("lab_host")) or lab_host
    name = value["event"]
    kind = Event.known.get(name) or Event.known.get(FORMER_NAMES.get(name, ""))
    if kind is None:
        rest = {str(key): item for key, item in value.items() if key not in ("t", "event", "lab_host")}
        return UnknownEvent(name, rest, t=t, lab_host=lab_host)
    return kind.read(value, t, lab_host)


def parse_line(line: str, lab_host: str | None = None) -> Event | None:
    """Return the event in a line of a journal; None if there is none, for example in a line cut short by a crash."""
    try:
        return parse(json.loads(line), lab_host)
    except (ValueError, RecursionError):
        return None
