"""The calls that a running agent accepts: the name and arguments of each, and the form of its answer.

A call is sent as a command line that is executed in the agent's container (:func:`command_line`); the answer is the
last line of its output (:func:`parse_answer`). Where a call fails, its answer has the reason in ``error``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NotRequired, TypedDict

from .lab_network import PORT, Settled
from .typed_json import FormError, dump, load


@dataclass(frozen=True)
class Call:
    """A call to the agent.

    Attributes:
        name: what it is called on the wire.
        within_s: seconds that the answer may take; it waits for the Engine where the agent has to ask that.
    """

    name: ClassVar[str]
    within_s: ClassVar[float] = 20.0

    @property
    def command_within_s(self) -> float:
        """Seconds for the call as a command in the agent's container, which waits for an agent that is starting."""
        return self.within_s + 30.0


@dataclass(frozen=True)
class Probe(Call):
    """Find out what the kernel here can do for links."""

    name = "probe"


@dataclass(frozen=True)
class OfferLab(Call):
    """Find out what this lab host can do for the network of a run on several. Answer: :class:`.lab_network.Offer`.

    Attributes:
        port: UDP port on which lab hosts are to receive.
    """

    name = "lab-offer"
    port: int = PORT


@dataclass(frozen=True)
class JoinLab(Call):
    """Join this lab host to the others of its run. Answer: :class:`JoinedAnswer`.

    Attributes:
        settled: what all of them use.
        port: UDP port on which they receive.
        check: report what differs and change nothing.
    """

    name = "lab-join"
    settled: Settled
    port: int = PORT
    check: bool = False


@dataclass(frozen=True)
class ApplyLinks(Call):
    """Bring the links into the state that the device file describes. Answer: :class:`LinksAnswer`.

    Attributes:
        check: report what differs and change nothing.
        devices: only the links of these devices; None: of all devices.
    """

    name = "links-apply"
    within_s = 300.0
    check: bool = False
    devices: tuple[str, ...] | None = None


@dataclass(frozen=True)
class MeasureLinks(Call):
    """Measure the links that are in force, before the gate opens or after the course. Answer: :class:`MeasuredAnswer`.

    Attributes:
        again: also those that have been measured since they were last changed.
        devices: only the links of these devices; None: of all devices.
    """

    name = "links-measure"
    within_s = 120.0
    again: bool = False
    devices: tuple[str, ...] | None = None


@dataclass(frozen=True)
class OpenGate(Call):
    """Have the participants load their engines, then let them start, but not before ``open_at`` (Unix seconds).

    The call does not wait for that; the journal tells. Answer: :class:`GateAnswer`.
    """

    name = "gate-open"
    within_s = 300.0
    open_at: float | None = None


@dataclass(frozen=True)
class Status(Call):
    """Return the current state of the course and of every device."""

    name = "status"


@dataclass(frozen=True)
class Holds(Call):
    """Find out what the run holds of this lab host. Answer: :class:`HoldsAnswer`."""

    name = "holds"


@dataclass(frozen=True)
class Packets(Call):
    """Return the counters of the process that holds packets outside the kernel."""

    name = "packets"


@dataclass(frozen=True)
class Stop(Call):
    """End the agent."""

    name = "stop"


CALLS: dict[str, type[Call]] = {
    kind.name: kind
    for kind in (Probe, OfferLab, JoinLab, ApplyLinks, MeasureLinks, OpenGate, Status, Holds, Packets, Stop)
}


class JoinedAnswer(TypedDict):
    """What differed before the lab host joined, and what it cannot hold as a sentence, if there is anything."""

    differences: list[str]
    note: str | None


class HoldsAnswer(TypedDict):
    """What a run's devices on a lab host were given; nothing after the course. ``user``: who started it, if known.

    ``cpu_factor`` and ``devices`` are there after the course, too: the next ``up`` of the same run plans with them.
    """

    user: str
    cpus: float
    memory_bytes: int
    gpu_ids: list[str]
    cpu_factor: float
    devices: dict[str, AllottedAnswer]


class AllottedAnswer(TypedDict):
    """What one device was given. ``cpus`` None: it is not limited."""

    cpus: float | None
    gpu_ids: list[str]


class LinkAnswer(TypedDict):
    """The outcome for one device's link. ``failed`` None: it is in force."""

    changed: bool
    failed: str | None
    diff: list[dict[str, Any]]


class LinksAnswer(TypedDict):
    """The outcome for the links. ``backend`` None: they are not shaped, and ``unshaped`` says why.

    ``delays_off``: whose delays are not as asked because of what is real between lab hosts.
    """

    changed: bool
    backend: str | None
    devices: dict[str, LinkAnswer]
    unshaped: NotRequired[str]
    delays_off: NotRequired[list[str]]


class MeasuredAnswer(TypedDict):
    """What links were measured to be: the events of the journal, as plain data, and why there are none.

    They are in wall time; ``time_factor``: device seconds in a wall second.
    """

    links: list[dict[str, Any]]
    reason: str | None
    time_factor: float


class GateAnswer(TypedDict):
    """``changed``: the gate was closed until now, and nobody had asked for it to open."""

    changed: bool


def command_line(call: Call) -> list[str]:
    """Return the command to execute in the agent's container."""
    return ["python3", "-m", "fedsim_runner.agent", "ctl", call.name, json.dumps(dump(call), sort_keys=True)]


def parse_call(name: str, arguments: Mapping[str, Any]) -> Call:
    """Return the call that a command line names.

    Raises:
        FormError: there is no such call, or it does not take these arguments.
    """
    if name not in CALLS:
        raise FormError(f"no command {name!r}: {', '.join(CALLS)}")
    return load(CALLS[name], arguments, name)


def parse_answer(output: str) -> dict[str, Any] | None:
    """Return the answer in the command's output; None if it has none."""
    lines = output.strip().splitlines()
    try:
        answer = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
