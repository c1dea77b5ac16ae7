"""What did not go as planned: lost clients, deadlines, links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedsim_runner.contract.course_state import CourseState
from fedsim_runner.contract.events import LinkRestored, TargetReached

NAMED = 6  # devices in one note
SHOWN_FILES = 5


def list_lost_clients(course: CourseState) -> list[dict[str, Any]]:
    """Return the clients that were given up while the course continued, with reason and time (Unix seconds)."""
    return [
        {"device": name, "reason": loss.reason, "oom_killed": bool(loss.oom_killed), "t": loss.t}
        for name, loss in course.lost.items()
    ]


def collect_notes(course: CourseState, left_out: Sequence[str]) -> list[str]:
    """Return notes on what a reader of the results must know; ``left_out``: files that were not collected."""
    found = [f"links were not shaped: {reason}" for reason in course.unshaped]
    found += course.between_hosts
    found += course.emulated
    found += [
        f"lab host {host} was given up: {reason}; what its devices wrote may be missing, and what is left of the run "
        "there is removed by fedsim-provision down"
        for host, reason in course.lost_hosts.items()
    ]
    if course.restored_links:
        found.append(_describe_restored(course.restored_links))
    if course.restarted:
        found.append(f"containers that restarted during the run: {', '.join(sorted(course.restarted))}")
    for how, ended in (("at the deadline", course.deadlines), ("with the quorum", course.quorums)):
        if ended:
            missing = sum((one.wanted or 0) - (one.arrived or 0) for one in ended)
            found.append(
                f"{len(ended)} round{'s were' if len(ended) > 1 else ' was'} aggregated {how}, "
                f"without {missing} update{'s' if missing != 1 else ''} that had not arrived"
            )
    if (target := course.target_reached) is not None:
        found.append(f"the course ended after round {target.round}: {_describe_target(target)}")
    if left_out:
        more = f" and {len(left_out) - SHOWN_FILES} more" if len(left_out) > SHOWN_FILES else ""
        found.append(f"not collected: {'; '.join(left_out[:SHOWN_FILES])}{more}")
    return found


def _describe_target(reached: TargetReached) -> str:
    return f"its accuracy {reached.accuracy or 0.0:.4f} reached the target {reached.target or 0.0:g} (course.target)"


def _describe_restored(restored: Mapping[str, Sequence[LinkRestored]]) -> str:
    named = []
    for device, times in list(restored.items())[:NAMED]:
        seconds = sum(time.for_s or 0.0 for time in times)
        named.append(f"{device} (up to {seconds:.0f} s: {times[-1].found})")
    more = f" and {len(restored) - NAMED} more" if len(restored) > NAMED else ""
    return f"links that somebody else changed, and that were then restored: {', '.join(named)}{more}"
