"""The rounds of a course, from the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedsim_runner.contract.course_state import CourseState

# The keys of a round that are not results.
OWN = ("round", "seconds", "elapsed_seconds")


def build_rounds(course: CourseState) -> list[dict[str, Any]]:
    """Return one entry per evaluated round: ``round``, ``seconds`` since the previous one, ``elapsed_seconds`` since
    training began, and the server's results.

    Times are None if the journal does not say when training began.
    """
    zero = before = course.began
    found = {}
    for number, evaluation in course.evaluations.items():
        now = evaluation.t
        seconds = None if before is None or now is None else round(now - before, 3)
        elapsed = None if zero is None or now is None else round(now - zero, 3)
        times = {"round": number, "seconds": seconds, "elapsed_seconds": elapsed}
        found[number] = {**times, **_results(evaluation.results)}
        before = now
    return [found[key] for key in sorted(found)]


def find_final_results(course: CourseState, rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the final results: those at the end of the course, else those of the last evaluated round."""
    if final := _results(course.final_results):
        return final
    return _results(rounds[-1]) if rounds else {}


def mean_round_seconds(rounds: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the mean seconds per round, evaluated or not: the time to the last evaluation by the rounds so far."""
    timed = [entry for entry in rounds if entry.get("elapsed_seconds") is not None and entry.get("round")]
    return None if not timed else float(timed[-1]["elapsed_seconds"]) / int(timed[-1]["round"])


def _results(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in OWN}
