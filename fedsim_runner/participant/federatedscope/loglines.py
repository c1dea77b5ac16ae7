"""FederatedScope's log lines as values, and as the events that they report. Pure: text in, small values out.

The regular expressions match the wording of FederatedScope 0.3.0, which the light engine also uses. They match a whole
line: a line that only contains such words says something else, perhaps what another participant wants it to say.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from fedsim_runner.contract.log_text import clean
from fedsim_runner.contract.participant_events import (
    Crashed,
    EvaluationStarted,
    Finished,
    Joined,
    ParticipantEvent,
    Ready,
    Result,
    Resumed,
    RoundStarted,
    Scope,
    TrainingFailed,
    TrainingFinished,
)

LineKind = Literal[
    "ready",
    "assigned",
    "round",
    "evaluating",
    "training_finished",
    "done",
    "finish",
    "result",
    "training_failed",
]

_PREFIX = re.compile(r"^(\d{4}-\d\d-\d\d [\d:]{8},\d{3}) \((\w+):(\d+)\) ?([A-Z]+): ?(.*)$")
_READY = re.compile(r"(?:Server|Client): Listen to (\S+):(\d{1,9})\.\.\.")
_ASSIGNED = re.compile(r"Client \(address (\S+):(\d{1,9})\) is assigned with #(\d{1,9})\.")
_ROUND = re.compile(r"-+ Starting (?:training|a new training round) \(Round #(\d{1,9})\) -+")
_EVALUATING = re.compile(r"Server: Starting evaluation at the end of round (\d{1,9})\.")
_TRAINED = "Server: Training is finished! Starting evaluation."
_DONE = "Server: Final evaluation is finished! Starting merging results."
_FINISH = re.compile(r"=+ client (-?\d{1,9}) received finish message =+")
_FAILED = re.compile(r"-+ Training fails at round #(\d{1,9}) ?-+")
_RESULT = re.compile(r"\{'Role': '(?:Server|Client) #")
TRACEBACK = "Traceback (most recent call last)"
# FederatedScope may log anything: longer results and larger numbers are not valid.
_LONGEST_TEXT = 1 << 12
_LONGEST_RESULT = 1 << 18
_LARGEST_NUMBER = 10**9


@dataclass(frozen=True)
class LogLine:
    """One line that matters: ``number`` is the round or client id it names, ``results`` the metrics it carries."""

    kind: LineKind
    number: int | None = None
    role: Literal["server", "client"] | None = None
    results: dict[str, dict[str, float]] | None = None  # by FederatedScope's form: weighted_avg, avg, raw, ...
    client_id: int | None = None


def message(line: str) -> str | None:
    """A log line's text after FederatedScope's prefix; None if it is not a log line (a traceback, a print)."""
    match = _PREFIX.match(clean(line))
    return match.group(5) if match else None


def parse(line: str) -> LogLine | None:
    """What the line says about the course; None when it says nothing relevant."""
    text = message(line)
    if text is None:
        text = clean(line)
    if text.startswith("{'Role'"):
        return _result(text)
    text = text[:_LONGEST_TEXT].rstrip()
    if match := _READY.fullmatch(text):
        return LogLine("ready", int(match.group(2)), "server" if text.startswith("Server") else "client")
    if match := _ASSIGNED.fullmatch(text):
        return LogLine("assigned", int(match.group(3)))
    if match := _ROUND.fullmatch(text):
        return LogLine("round", int(match.group(1)))
    if match := _EVALUATING.fullmatch(text):
        return LogLine("evaluating", int(match.group(1)))
    if text == _TRAINED:
        return LogLine("training_finished")
    if text == _DONE:
        return LogLine("done")
    if match := _FINISH.fullmatch(text):
        return LogLine("finish", int(match.group(1)))
    if match := _FAILED.fullmatch(text):
        return LogLine("training_failed", int(match.group(1)))
    return None


class LogReader:
    """Turns the log of one participant, line by line, into the events that it reports."""

    def __init__(self) -> None:
        self._crashed = False

    def events(self, line: str) -> Iterator[ParticipantEvent]:
        """The events that the line reports; most lines report none."""
        if message(line) is None:
            if clean(line).startswith(TRACEBACK):
                self._crashed = True
                yield Crashed()
        elif self._crashed:
            self._crashed = False
            yield Resumed()
        parsed = parse(line)
        event = self._event(parsed) if parsed is not None else None
        if event is not None:
            yield event

    def _event(self, line: LogLine) -> ParticipantEvent | None:
        number = line.number
        match line.kind:
            case "ready":
                return Ready()
            case "training_finished":
                return TrainingFinished()
            case "done" | "finish":
                return Finished()
        if number is None:
            return None
        match line.kind:
            case "assigned":
                return Joined(number)
            case "round":
                return RoundStarted(number)
            case "evaluating":
                return EvaluationStarted(number)
            case "training_failed":
                return TrainingFailed(number)
            case "result":
                return result_event(number, line.role == "server", line.results or {}, line.client_id)
        return None


def result_event(
    number: int, of_server: bool, results: dict[str, dict[str, float]], client_id: int | None
) -> Result | None:
    """A line of results, which may hold several forms of the same metrics. None if none of the forms is known."""
    if of_server:
        scope: Scope | None = next((form for form in get_args(Scope) if form in results), None)
        return None if scope is None else Result(number, "evaluation", scope, results[scope])
    metrics = {name: value for values in results.values() for name, value in values.items()}
    if not metrics and not results:
        return None
    stage: Literal["training", "evaluation"] = (
        "training" if any(name.startswith("train_") for name in metrics) else "evaluation"
    )
    return Result(number, stage, "raw", metrics, client_id)


def _result(text: str) -> LogLine | None:
    if len(text) > _LONGEST_RESULT or not _RESULT.match(text):
        return None
    try:
        tree = _literal(ast.parse(text.rstrip(), mode="eval").body)
        return _from_tree(tree) if isinstance(tree, dict) else None
    except (SyntaxError, ValueError, TypeError, OverflowError, RecursionError, MemoryError):
        return None  # a dict broken over lines, with arrays inside or nested too deeply: not a result we report


def _from_tree(tree: dict[Any, Any]) -> LogLine | None:
    number = tree.get("Round")
    identity = re.search(r"#(-?\d{1,9})", str(tree.get("Role", "")))
    client_id = int(identity.group(1)) if identity else None
    results: dict[str, dict[str, float]] = {}
    for key, value in tree.items():
        if isinstance(key, str) and key.startswith("Results_") and isinstance(value, dict):
            results[key.removeprefix("Results_")] = {
                str(name).encode(errors="replace").decode(): float(metric)
                for name, metric in value.items()
                if isinstance(metric, int | float) and not isinstance(metric, bool)
            }
    role: Literal["server", "client"] = "server" if str(tree.get("Role", "")).startswith("Server") else "client"
    if not isinstance(number, int):
        # 'Final' repeats the best results of all rounds: it belongs to no round.
        return LogLine("result", None, role, {}) if number == "Final" else None
    if abs(number) > _LARGEST_NUMBER:
        return None
    return LogLine("result", number, role, results, client_id)


def _literal(node: ast.AST) -> Any:
    """``ast.literal_eval`` that also takes nan, inf and numpy's ``np.float64(1.0)``, which FederatedScope prints."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Dict(keys=keys, values=values):
            return {_literal(key): _literal(value) for key, value in zip(keys, values, strict=True) if key is not None}
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return [_literal(element) for element in elements]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_literal(operand)
        case ast.Name(id="nan"):
            return math.nan
        case ast.Name(id="inf"):
            return math.inf
        case ast.Call(args=[argument]):
            return _literal(argument)
    raise ValueError("not a literal")
