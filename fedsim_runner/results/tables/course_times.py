"""How long a course took, from the loading of engines to its end."""

from __future__ import annotations

from typing import Any

from fedsim_runner.contract.course_state import CourseState


def describe_course_times(course: CourseState) -> dict[str, Any]:
    """Return what report.json says of it; what is unknown is None.

    ``duration_s`` counts from the opening of the gate, ``startup_s`` is the part of it before the first round, and
    ``loading_s`` came before, in wall time. A dilated run has what its reader has to know besides: ``time``,
    ``time_factor`` (device seconds in a wall second) and ``wall_duration_s``.
    """
    duration = _duration(course)
    return {
        "duration_s": _rounded(duration),
        **_time(course, duration),
        "began": course.began,
        "loading_s": _loading(course),
        "startup_s": _startup(course),
    }


def _time(course: CourseState, duration: float | None) -> dict[str, Any]:
    scale = course.time_scale
    if scale.is_real:
        return {}
    return {
        "time": "dilated",
        "time_factor": scale.factor,
        "wall_duration_s": _rounded(scale.to_wall(duration)),
    }


def _duration(course: CourseState) -> float | None:
    """Return the seconds from the opening of the gate to the end of the course."""
    outcome = course.outcome
    ended = course.last_t if outcome is None else outcome.t
    return None if course.gate_opens is None or ended is None else max(0.0, ended - course.gate_opens)


def _loading(course: CourseState) -> float | None:
    """Return the wall seconds in which participants loaded before the gate; None where they loaded after it (0.1.0)."""
    began, opened = course.loading_began, course.gate_opened
    return None if began is None or opened is None else _rounded(max(0.0, opened - began))


def _startup(course: CourseState) -> float | None:
    """Return the seconds from the opening of the gate to the first round, in which the clients join."""
    opened, first = course.gate_opens, course.training_began
    return None if opened is None or first is None else _rounded(max(0.0, first - opened))


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
