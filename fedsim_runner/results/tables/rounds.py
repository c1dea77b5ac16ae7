"""The course round by round, from the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..run_files import number, whole

# Keys of a round that are not results.
OWN = ("round", "seconds", "elapsed_seconds")


def rounds_of(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry per evaluated round: ``round``, ``seconds`` since the one before, ``elapsed_seconds`` since training
    began, and the server's results.

    Times are None where the journal does not tell when training began.
    """
    zero = before = began(events)
    found: dict[int, dict[str, Any]] = {}
    for event in events:
        if event["event"] != "evaluated":
            continue
        round_number, now = whole(event.get("round")), number(event.get("t"))
        if round_number is None:
            continue
        results = _results(event)
        if round_number in found:  # the last round is evaluated once more at the end of the course
            found[round_number].update(results)
            continue
        seconds = None if before is None or now is None else round(now - before, 3)
        elapsed = None if zero is None or now is None else round(now - zero, 3)
        found[round_number] = {"round": round_number, "seconds": seconds, "elapsed_seconds": elapsed, **results}
        before = now
    return [found[key] for key in sorted(found)]


def final_of(events: Sequence[dict[str, Any]], rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The results at the end: those of ``course_finished``, else of the last round that was evaluated."""
    for event in reversed(events):
        if event["event"] == "course_finished" and _results(event):
            return _results(event)
    if rounds:
        return {key: value for key, value in rounds[-1].items() if key not in OWN}
    return {}


def mean_round_seconds(rounds: Sequence[Mapping[str, Any]]) -> float | None:
    """Seconds of a round on average, evaluated or not: until the last evaluation, over its number of rounds."""
    timed = [entry for entry in rounds if entry.get("elapsed_seconds") is not None and entry.get("round")]
    return None if not timed else float(timed[-1]["elapsed_seconds"]) / int(timed[-1]["round"])


def began(events: Sequence[dict[str, Any]]) -> float | None:
    """When training began, unix seconds: the first round, or the opening of the gate where no round is known."""
    for kind in ("round_started", "gate_opened"):
        for event in events:
            if event["event"] == kind:
                return number(event.get("t"))
    return None


def _results(event: dict[str, Any]) -> dict[str, Any]:
    results = event.get("results")
    if not isinstance(results, dict):
        return {}
    return {str(key): number(value) for key, value in results.items() if key not in OWN}
