"""What the agent can be asked while it runs: each call by name with its arguments, and the form of its answer.

A call travels as a command line that is executed in the agent's container (:func:`command_line`); the answer is the
last line that comes back (:func:`parse_answer`). An answer with ``error`` says why there is no other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NotRequired, TypedDict

from .typed_json import FormError, dump, load


@dataclass(frozen=True)
class Call:
    """Something that the agent is asked."""

    name: ClassVar[str]


@dataclass(frozen=True)
class Probe(Call):
    """What the kernel here can do for links."""

    name = "probe"


@dataclass(frozen=True)
class ApplyLinks(Call):
    """Bring links to what the device file says. Answer: :class:`LinksAnswer`.

    Attributes:
        check: say what differs and change nothing.
        devices: those of these devices only; None: of all.
    """

    name = "links-apply"
    check: bool = False
    devices: tuple[str, ...] | None = None


@dataclass(frozen=True)
class OpenGate(Call):
    """Let the participants go at ``open_at`` (Unix seconds; None: now). Answer: :class:`GateAnswer`."""

    name = "gate-open"
    open_at: float | None = None


@dataclass(frozen=True)
class Status(Call):
    """The course and every device as they are now."""

    name = "status"


@dataclass(frozen=True)
class Packets(Call):
    """Counters of what holds packets outside the kernel."""

    name = "packets"


@dataclass(frozen=True)
class Stop(Call):
    """End."""

    name = "stop"


CALLS: dict[str, type[Call]] = {kind.name: kind for kind in (Probe, ApplyLinks, OpenGate, Status, Packets, Stop)}


class LinkAnswer(TypedDict):
    """What became of one device's link. ``failed`` None: it is in force."""

    changed: bool
    failed: str | None
    diff: list[dict[str, Any]]


class LinksAnswer(TypedDict):
    """What became of the links. ``backend`` None: they are not shaped, and ``unshaped`` says why."""

    changed: bool
    backend: str | None
    devices: dict[str, LinkAnswer]
    unshaped: NotRequired[str]


class GateAnswer(TypedDict):
    """``changed``: the gate was shut."""

    changed: bool


def command_line(call: Call) -> list[str]:
    """What is executed in the agent's container."""
    return ["python3", "-m", "fedsim_runner.agent", "ctl", call.name, json.dumps(dump(call), sort_keys=True)]


def parse_call(name: str, arguments: Mapping[str, Any]) -> Call:
    """The call that arrived.

    Raises:
        FormError: there is no such call, or it does not take these arguments.
    """
    if name not in CALLS:
        raise FormError(f"no command {name!r}: {', '.join(CALLS)}")
    return load(CALLS[name], arguments, name)


def parse_answer(output: str) -> dict[str, Any] | None:
    """The answer in what the command printed; None where there is none."""
    lines = output.strip().splitlines()
    try:
        answer = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
