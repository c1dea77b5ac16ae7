"""The time limits of a course, and what a lost client means to it."""

from __future__ import annotations

from dataclasses import dataclass

from ...contract.time_scale import REAL_TIME, TimeScale

GRACE_S = 5.0  # for participants to end on their own once the course has succeeded


@dataclass(frozen=True)
class Limits:
    """When a course is over.

    Attributes:
        timeout_s: seconds for the whole course.
        silence_timeout_s: seconds without a report of any participant after which the one waited for is blamed.
        grace_s: seconds that participants get to end on their own once the course has succeeded.
        go_on: a lost client does not end the course (``on_client_failure: continue``).
        time_scale: what the others, which are wall time, are to the devices.
        min_clients: with fewer clients left, the course ends all the same.
    """

    timeout_s: float
    silence_timeout_s: float
    grace_s: float = GRACE_S
    go_on: bool = False
    min_clients: int = 1
    time_scale: TimeScale = REAL_TIME
