"""Timing a reference step within the device's limit, while it waits for the gate: as fast as it was to be?"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass

#: The programs whose parts can be timed, by reference.
PROGRAMS = {
    "numpy-mlp": "fedsim_runner.participant.light.reference_step",
    "mobilenetv3-small": "fedsim_runner.participant.federatedscope.reference_step",
}
# So long before the gate it ends, that nothing of it is left in the device's limit.
LEAD_S = 0.2
# The first parts load what they need: they are done while the device has no limit yet.
WARM_UP = 3


@dataclass(frozen=True)
class ReferenceTiming:
    """What a step took, computed from its parts, and how long these took together; in seconds."""

    step_s: float
    timed_s: float


def prepare_reference(
    reference: str, parts: float, clock: Callable[[], float] = time.time
) -> Callable[[float], ReferenceTiming | None] | None:
    """Load a reference's program and do some parts; return what times others until a moment (Unix seconds).

    That ends a little before the moment, and returns None if there was no time for two parts.

    Args:
        reference: None is returned if it is not one of :data:`PROGRAMS`.
        parts: to how many of them a step is equal.
        clock: Unix seconds.
    """
    if reference not in PROGRAMS:
        return None
    part: Callable[[], None] = importlib.import_module(PROGRAMS[reference]).make_part()
    for _ in range(WARM_UP):
        part()

    def time_parts(until: float) -> ReferenceTiming | None:
        began, done, longest = clock(), 0, 0.0
        end = until - LEAD_S
        if began >= end:
            return None
        part()  # it has what was left of the first period
        first = now = clock()
        longest = now - began
        while now + longest < end:
            part()
            then, now = now, clock()
            longest = max(longest, now - then)
            done += 1
        return ReferenceTiming((now - first) / done * parts, now - first) if done else None

    return time_parts
