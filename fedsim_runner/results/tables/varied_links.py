"""How punctual links followed their traces, or moved between states, one row for each lab host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fedsim_runner.contract.course_state import CourseState

#: A change that is in force so much after its time is late: changes are made every 50 ms, and a lab host pauses.
LATE_S = 0.25
NAMED = 4


def build_varied_links(course: CourseState) -> list[dict[str, Any]]:
    """Return the rows, in the order of the lab hosts' names."""
    return [
        {"lab_host": host, "changes": one.changes, "latest_s": one.latest_s, "failed": list(one.failed)}
        for host, one in sorted(course.varied_links.items())
    ]


def describe_late_variations(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return which lab hosts were late, and which links could not be changed, as sentences."""
    found = []
    for row in rows:
        if (latest_s := row.get("latest_s") or 0.0) > LATE_S:
            found.append(
                f"Links that vary by themselves were late on lab host {row['lab_host']}: of {row['changes']} changes "
                f"the latest was in force {latest_s:.2f} s after its time."
            )
        if failed := row.get("failed"):
            more = f"; and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
            found.append(f"Links that could not follow their trace or states: {'; '.join(failed[:NAMED])}{more}.")
    return found
