"""The state of a course, computed from the events in the journals of all lab hosts.

To find out how a course is going, or how it went, pass its events to :meth:`CourseState.apply` and read the state.
What an event changes is defined by its class (:meth:`fedsim_runner.contract.events.Event.apply_to`).

Several lab hosts: each journal records the devices of its own lab host, the server's also rounds and results. Within
one journal the order of events matters; how the journals are interleaved does not. Where the agents talk to each other,
the one on the server's lab host judges the course, and its word counts; the others record what they heard of it.
Otherwise the course has finished when every lab host's agent has said so, and has failed as soon as one says that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from . import lenient
from .time_scale import REAL_TIME, TimeScale

if TYPE_CHECKING:
    from .events import (
        AgentStarted,
        ClientLost,
        Event,
        GateMeasured,
        LinkCounted,
        LinkMeasured,
        LinkRestored,
        LinksVaried,
        LoadingStarted,
        PacketsTimed,
        RoundDeadline,
        RoundQuorum,
        TargetReached,
        TimelineEvent,
    )

#: The lab host of events that do not name one, where a run has only one.
ONLY_HOST = ""
#: States of a device that stay when its process ends.
LASTING = ("finished", "failed", "lost", "offline")
#: States of a device that is no longer there.
ENDED = ("finished", "failed", "lost", "exited")


@dataclass(frozen=True)
class Outcome:
    """How a course ended.

    Attributes:
        reason: why it failed, if it did.
        device: the device that caused the failure; ``last_lines`` are the end of its log.
        t: when, in Unix seconds.
    """

    status: Literal["finished", "failed"]
    reason: str | None = None
    device: str | None = None
    last_lines: tuple[str, ...] = ()
    t: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data for other processes, without the time."""
        return {
            "status": self.status,
            "reason": self.reason,
            "device": self.device,
            "last_lines": list(self.last_lines),
        }

    @classmethod
    def parse(cls, value: object) -> Outcome | None:
        """Return the outcome in plain data; None if there is none."""
        status = value.get("status") if isinstance(value, Mapping) else None
        if not isinstance(value, Mapping) or status not in ("finished", "failed"):
            return None
        reason, device = lenient.text(value.get("reason")), lenient.name(value.get("device"))
        return cls(status, reason, device, lenient.lines(value.get("last_lines")))


@dataclass
class DeviceState:
    """What the journals say about a device; None for what they do not say.

    Attributes:
        state: started, loading, ready, joined, finished, exited, failed, lost, or offline at the end of the course.
        loading_at: when it was admitted to load its engine (Unix seconds); ``ready_at``: when it had done so.
        error: why the device, or the course because of it, was given up.
        lost: whether it was given up while the course continued.
    """

    state: str | None = None
    client_id: int | None = None
    exit_code: int | None = None
    oom_killed: bool | None = None
    error: str | None = None
    lost: bool = False
    loading_at: float | None = None
    ready_at: float | None = None


@dataclass
class Evaluation:
    """The results after a round, and when they first arrived (Unix seconds)."""

    t: float | None
    results: dict[str, float | None] = field(default_factory=dict)


@dataclass
class CourseState:
    """A course at one moment. Times are Unix seconds, also in dilated runs, rounds count from 1.

    Attributes:
        lab_hosts: those whose agents all have to end; others are added when an event names them.
        agents: the last start of each lab host's agent.
        time_scale: what spans of time are to the devices.
        loading: the start of loading on each lab host.
        loading_began: when the first of them began; None in journals of versions in which engines load after the gate.
        gate_opens: when the gate opens or opened.
        gate_opened: when the opening was announced.
        corrected_cpus: the CPU limits, in cores of the lab host, of devices whose limits were corrected.
        training_began: when the first round started.
        round: the last round that has started, 0 before.
        evaluations: by round, in the order in which they arrived.
        final_results: the results at the end of the course.
        target_reached: the evaluation that ended the course before its last round.
        lost: the loss of each client that was given up.
        late_updates: how many updates of each device arrived too late.
        deadlines: rounds that were aggregated at their deadline.
        quorums: rounds that were aggregated with their quorum.
        shaped: devices whose links are in force.
        restarted: those of them whose containers were restarted.
        restored_links: those whose links somebody else had changed, each time.
        measured_links: what each link was last measured to be, by device and direction.
        counted_links: what passed each during the course.
        unshaped: why links are not in force.
        between_hosts: what the network between lab hosts does not hold, as sentences.
        emulated: which devices' programs are of another architecture, and what that costs, as sentences.
        packets: how punctual each lab host's packets were, where a process holds them.
        varied_links: how punctual each lab host's links followed their traces or states.
        timeline: what has become of the entries of the run's timeline, in order.
        gate_skew: how far apart lab hosts opened the gate, once all have.
        lost_hosts: the lab hosts that were given up, with the reasons.
        ends: how the course ended, according to each lab host's agent that judges it.
        heard_ends: how it ended, according to each of those that only learnt of it, or were cut off.
        events: how many there have been so far.
        last_t: time of the latest one.
    """

    lab_hosts: set[str] = field(default_factory=set)
    agents: dict[str, AgentStarted] = field(default_factory=dict)
    time_scale: TimeScale = REAL_TIME
    loading: dict[str, LoadingStarted] = field(default_factory=dict)
    loading_began: float | None = None
    gate_opens: float | None = None
    gate_opened: float | None = None
    corrected_cpus: dict[str, float] = field(default_factory=dict)
    training_began: float | None = None
    round: int = 0
    evaluations: dict[int, Evaluation] = field(default_factory=dict)
    final_results: dict[str, float | None] = field(default_factory=dict)
    target_reached: TargetReached | None = None
    devices: dict[str, DeviceState] = field(default_factory=dict)
    lost: dict[str, ClientLost] = field(default_factory=dict)
    late_updates: Counter[str] = field(default_factory=Counter)
    deadlines: list[RoundDeadline] = field(default_factory=list)
    quorums: list[RoundQuorum] = field(default_factory=list)
    shaped: set[str] = field(default_factory=set)
    restarted: set[str] = field(default_factory=set)
    restored_links: dict[str, list[LinkRestored]] = field(default_factory=dict)
    measured_links: dict[tuple[str, str], LinkMeasured] = field(default_factory=dict)
    counted_links: dict[tuple[str, str], LinkCounted] = field(default_factory=dict)
    unshaped: list[str] = field(default_factory=list)
    between_hosts: dict[str, None] = field(default_factory=dict)
    emulated: dict[str, None] = field(default_factory=dict)
    packets: dict[str, PacketsTimed] = field(default_factory=dict)
    varied_links: dict[str, LinksVaried] = field(default_factory=dict)
    timeline: list[TimelineEvent] = field(default_factory=list)
    gate_skew: GateMeasured | None = None
    lost_hosts: dict[str, str] = field(default_factory=dict)
    ends: dict[str, Outcome] = field(default_factory=dict)
    heard_ends: dict[str, Outcome] = field(default_factory=dict)
    events: int = 0
    last_t: float | None = None

    def apply(self, event: Event) -> None:
        """Update the state with one event. The events of one lab host must come in order."""
        self.lab_hosts.add(self.host_of(event))
        self.events += 1
        self.last_t = later(self.last_t, event.t)
        if event.about is not None:
            self.devices.setdefault(event.about, DeviceState())
        event.apply_to(self)

    def apply_all(self, events: Iterable[Event]) -> CourseState:
        """Update the state with several events, and return it."""
        for event in events:
            self.apply(event)
        return self

    def forget_ended_devices(self) -> None:
        """A course begins: what ended before has left the run, or was made anew, as the experiment file was changed.

        If a device of the course has ended before it begins, that is reported again.
        """
        self.restarted.clear()
        for name in [name for name, device in self.devices.items() if device.state == "exited"]:
            del self.devices[name]

    def host_of(self, event: Event) -> str:
        """Return the lab host that an event is from; where there is only one, events need not name it."""
        if event.lab_host is not None:
            return event.lab_host
        return next(iter(self.lab_hosts)) if len(self.lab_hosts) == 1 else ONLY_HOST

    @property
    def outcome(self) -> Outcome | None:
        """How the course ended: with the first failure, or because every lab host has finished. None before that."""
        ends = self.ends or self.heard_ends  # the journal of who judges it may be missing
        failed = [end for end in ends.values() if end.status == "failed"]
        if failed:
            return min(failed, key=lambda end: (end.t is None, end.t or 0.0, end.device or "", end.reason or ""))
        if not ends or self.unfinished:
            return None
        times = [end.t for end in ends.values() if end.t is not None]
        return Outcome("finished", t=max(times, default=None))

    @property
    def unfinished(self) -> list[str]:
        """The lab hosts whose agents have not reported the end of the course, nor were given up."""
        return sorted(self.lab_hosts - self.ends.keys() - self.heard_ends.keys() - self.lost_hosts.keys())

    @property
    def loaded(self) -> tuple[int, int] | None:
        """How many participants are ready, and of how many, while they load; None before that and after the gate."""
        if not self.loading or self.gate_opened is not None:
            return None
        ready = sum(device.ready_at is not None for device in self.devices.values())
        return ready, max(ready, sum(one.devices or 0 for one in self.loading.values()))

    @property
    def began(self) -> float | None:
        """When training began: with the first round, or with the opening of the gate if no round is known."""
        return self.gate_opened if self.training_began is None else self.training_began

    @property
    def last_step(self) -> float | None:
        """When the current round began: at the last evaluation, or when training began."""
        last = next(reversed(self.evaluations.values()), None)
        return self.training_began if last is None else last.t

    @property
    def accuracies(self) -> tuple[float, ...]:
        """The accuracies of the evaluated rounds that have one, in order."""
        found = (accuracy_of(evaluation.results) for evaluation in self.evaluations.values())
        return tuple(accuracy for accuracy in found if accuracy is not None)

    @property
    def link_backend(self) -> str | None:
        """What shapes the links; all names if the lab hosts differ, None if nothing does."""
        return ", ".join(sorted({agent.backend for agent in self.agents.values() if agent.backend})) or None

    @property
    def device_counts(self) -> Mapping[str, int]:
        """Devices by state."""
        return Counter(device.state for device in self.devices.values() if device.state is not None)

    def advance(self, device: str | None, state: str) -> None:
        """Record that a device has reached a state; what a device does after it was given up is ignored."""
        if device is not None and not self.devices[device].lost:
            self.devices[device].state = state


def accuracy_of(results: object) -> float | None:
    """Return the accuracy from a round's results: on test data, else on validation data."""
    if not isinstance(results, Mapping):
        return None
    return next(
        (value for key in ("test_acc", "val_acc") if (value := lenient.number(results.get(key))) is not None), None
    )


def earlier(one: float | None, other: float | None) -> float | None:
    """Return the earlier of two times, either of which may be unknown."""
    known = [moment for moment in (one, other) if moment is not None]
    return min(known, default=None)


def later(one: float | None, other: float | None) -> float | None:
    """Return the later of two times, either of which may be unknown."""
    known = [moment for moment in (one, other) if moment is not None]
    return max(known, default=None)
