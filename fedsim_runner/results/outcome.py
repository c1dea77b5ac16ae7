"""How a course ended, according to the journals: its status, the reason, and the device to blame."""

from __future__ import annotations

from ..contract.course_state import ONLY_HOST, CourseState


def find_outcome(course: CourseState) -> tuple[str, str | None, str | None]:
    """Return status, reason and the device to blame, according to the journals."""
    outcome = course.outcome
    if outcome is not None and outcome.status == "failed":
        return "failed", name_device(outcome.reason or "no reason given", outcome.device), outcome.device
    if outcome is not None:
        return outcome.status, None, None
    if not course.events:
        return "failed", "the run ended before its journal began", None
    others = [name for name in course.unfinished if name != ONLY_HOST]
    if others:
        return "failed", f"the journal of {', '.join(others)} ends before the course does", None
    return "failed", "the journal ends before the course does", None


def name_device(reason: str | None, device: str | None) -> str | None:
    """Return a reason with the device's name in front, unless the reason already contains it."""
    return f"{device}: {reason}" if reason and device and device not in reason else reason
