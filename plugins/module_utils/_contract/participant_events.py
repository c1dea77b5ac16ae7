"""What a participant reports about its course: one JSON line per event in ``events.jsonl`` of its output folder.

The engine in the container writes them, the agent and the processes testbed read them; nothing reads an engine's log
lines to follow a course. Rounds are counted from 0, as in ``activity.jsonl`` and in FederatedScope; client ids are the
engine's own, which :class:`Joined` announces.

A participant cannot be trusted: :func:`parse` takes any text, and returns nothing that is too long, too large or of
a different type from its field.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, get_args

from .log_text import shown

EVENTS = "events.jsonl"
# The log of a participant, in the folder `course` of its output folder, under FederatedScope's name for it: growth of
# it is a sign of life, and its last lines are shown when the participant fails.
LOG_FOLDER, LOG = "course", "exp_print.log"

Stage = Literal["training", "evaluation"]
Scope = Literal["weighted_avg", "avg", "raw"]

_LONGEST_LINE = 1 << 18
_MOST_METRICS = 10_000
_LARGEST_NUMBER = 10**9
_LATEST = 253_402_300_800.0  # the year 10000


@dataclass(frozen=True)
class ParticipantEvent:
    """Something that happened to a participant, or that a server reports about a client."""

    name: ClassVar[str]


@dataclass(frozen=True)
class Ready(ParticipantEvent):
    """It has loaded its engine, is ready for connections and waits at the gate; the launcher reports it."""

    name = "ready"


@dataclass(frozen=True)
class ReferenceTimed(ParticipantEvent):
    """What a step of its reference took within its limit before the gate opens, by the clock and of the processor; the
    launcher reports it.
    """

    name = "reference_timed"
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Joined(ParticipantEvent):
    """Client: the server has given it this id."""

    name = "joined"
    client_id: int


@dataclass(frozen=True)
class Admitted(ParticipantEvent):
    """Server: the client that joined from ``host`` has this id. In containers the host is the device's name."""

    name = "admitted"
    client_id: int
    host: str


@dataclass(frozen=True)
class RoundStarted(ParticipantEvent):
    """Server: this round begins."""

    name = "round"
    round: int


@dataclass(frozen=True)
class EvaluationStarted(ParticipantEvent):
    """Server: this round is aggregated, and its evaluation begins."""

    name = "evaluating"
    round: int


@dataclass(frozen=True)
class TrainingFinished(ParticipantEvent):
    """Server: all rounds are aggregated (or training stops early), and the last evaluation begins."""

    name = "training_finished"


@dataclass(frozen=True)
class TrainingFailed(ParticipantEvent):
    """Server: it gives up in this round."""

    name = "training_failed"
    round: int


@dataclass(frozen=True)
class Result(ParticipantEvent):
    """Metrics of a client's training or evaluation, or of the server's evaluation of a round.

    ``scope``: how a server's metrics were computed from those of its clients; ``raw``: they are one participant's own.
    ``client_id``: whose they are, where a server repeats those of one client.
    """

    name = "result"
    round: int
    stage: Stage
    scope: Scope
    metrics: dict[str, float]
    client_id: int | None = None


@dataclass(frozen=True)
class TargetReached(ParticipantEvent):
    """Server: the evaluation that it has just reported reached the target, so the course ends before its last round."""

    name = "target"
    accuracy: float
    target: float


@dataclass(frozen=True)
class Update(ParticipantEvent):
    """Server: an aggregation has taken a client's update for the model of this round, or it is dropped.

    ``staleness``: rounds that were aggregated between the sending of the model and that.
    """

    name = "update"
    client_id: int
    round: int
    staleness: int
    used: bool


@dataclass(frozen=True)
class DeadlinePassed(ParticipantEvent):
    """Server: the round was aggregated after its deadline, with ``arrived`` of the ``wanted`` updates."""

    name = "deadline"
    round: int
    arrived: int
    wanted: int


@dataclass(frozen=True)
class QuorumReached(ParticipantEvent):
    """Server: the round was aggregated with its quorum, ``arrived`` of the ``wanted`` updates."""

    name = "quorum"
    round: int
    arrived: int
    wanted: int


@dataclass(frozen=True)
class ClientLost(ParticipantEvent):
    """Server: it continues without this client."""

    name = "lost"
    client_id: int
    reason: str


@dataclass(frozen=True)
class MessageRefused(ParticipantEvent):
    """Server: it has not taken a message of this kind from a client; of many, the first, the tenth and so on."""

    name = "refused"
    client_id: int
    kind: str
    reason: str


@dataclass(frozen=True)
class Warned(ParticipantEvent):
    """Its engine has logged a warning that it had not logged before, if numbers do not count."""

    name = "warning"
    text: str


@dataclass(frozen=True)
class Finished(ParticipantEvent):
    """The course is over for this participant: the last evaluation is done, or the server has said goodbye."""

    name = "finished"


@dataclass(frozen=True)
class Crashed(ParticipantEvent):
    """Something in it has failed, but the process still runs, perhaps to no use."""

    name = "crashed"


@dataclass(frozen=True)
class Resumed(ParticipantEvent):
    """After :class:`Crashed`: it works again."""

    name = "resumed"


_CLASSES: dict[str, type[ParticipantEvent]] = {found.name: found for found in ParticipantEvent.__subclasses__()}


@dataclass(frozen=True)
class Reported:
    """An event, and when the participant wrote it (Unix seconds; None: it gives no plausible time)."""

    event: ParticipantEvent
    t: float | None


def to_line(event: ParticipantEvent, t: float) -> str:
    """Return the event as a line of the file, with its line end."""
    given = {key: value for key, value in asdict(event).items() if value is not None}
    return json.dumps({"t": round(t, 4), "event": event.name, **given}) + "\n"


def parse(text: str) -> Reported | None:
    """Return the event in a line of the file; None if there is no valid one."""
    if len(text) > _LONGEST_LINE:
        return None
    try:
        tree = json.loads(text)
        if not isinstance(tree, dict):
            return None
        found = _CLASSES.get(tree["event"])
        if found is None:
            return None
        given = {name: check(tree.get(name)) for name, check in _FIELDS[found]}
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None
    return Reported(found(**given), _moment(tree.get("t")))


def _moment(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _LATEST
    return float(value) if known else None


def _whole(value: Any) -> int:
    if type(value) is not int or abs(value) > _LARGEST_NUMBER:
        raise ValueError("not the number of a round, a client id or a count")
    return value


def _whole_or_none(value: Any) -> int | None:
    return None if value is None else _whole(value)


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) <= _LARGEST_NUMBER:
        raise ValueError("not a number")
    return float(value)


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError("neither true nor false")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not text")
    return shown(_writable(value))


def _metrics(value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping) or len(value) > _MOST_METRICS:
        raise ValueError("not metrics")
    numbers = {name: metric for name, metric in value.items() if type(metric) in (int, float)}
    return {_text(name): float(metric) for name, metric in numbers.items()}


def _one_of(choices: tuple[str, ...]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"not one of {choices}")
        return str(value)

    return check


def _writable(text: str) -> str:
    """Return text without unpaired surrogates, which JSON can express but no file can hold."""
    return text.encode(errors="replace").decode()


# By the type of the field.
_CHECKS: dict[str, Callable[[Any], Any]] = {
    "int": _whole,
    "int | None": _whole_or_none,
    "float": _number,
    "bool": _flag,
    "str": _text,
    "dict[str, float]": _metrics,
    "Stage": _one_of(get_args(Stage)),
    "Scope": _one_of(get_args(Scope)),
}
_FIELDS: dict[type[ParticipantEvent], list[tuple[str, Callable[[Any], Any]]]] = {
    kind: [(field.name, _CHECKS[str(field.type)]) for field in fields(kind)] for kind in _CLASSES.values()
}
