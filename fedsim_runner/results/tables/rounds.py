"""The rounds of a course, from the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedsim_runner.contract.course_state import CourseState

# The keys of a round that are not results.
OWN = ("round", "seconds", "elapsed_seconds")
# What a dilated run has besides: the same in wall time.
WALL = ("wall_seconds", "wall_elapsed_seconds")


def build_rounds(course: CourseState) -> list[dict[str, Any]]:
    """Return one entry per evaluated round: ``round``, ``seconds`` since the previous one, ``elapsed_seconds`` since
    training began, in a dilated run the same in wall time (:data:`WALL`), and the server's results.

    Times are None if the journal does not say when training began.
    """
    zero = before = course.began
    scale = course.time_scale
    found = {}
    for number, evaluation in course.evaluations.items():
        now = evaluation.t
        spans = [None if since is None or now is None else now - since for since in (before, zero)]
        times = dict(zip(OWN, (number, *map(_rounded, spans)), strict=True))
        if not scale.is_real:
            times |= dict(zip(WALL, (_rounded(scale.to_wall(span)) for span in spans), strict=True))
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
    return {key: value for key, value in values.items() if key not in (*OWN, *WALL)}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
