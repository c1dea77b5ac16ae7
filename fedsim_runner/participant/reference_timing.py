"""Timing a reference step within the device's limit, while it waits for the gate: as fast as it was to be?"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass

#: The programs whose parts can be timed, by reference.
PROGRAMS = {"numpy-mlp": "fedsim_runner.participant.light.reference_step"}
# So long before the gate it ends, that nothing of it is left in the device's limit.
LEAD_S = 0.2
# The first part loads what it needs, and has what was left of the first period.
WARM_UP = 2


@dataclass(frozen=True)
class ReferenceTiming:
    """What a step took, computed from its parts, and how long these took together; in seconds."""

    step_s: float
    timed_s: float


def time_reference(reference: str, until: float, clock: Callable[[], float] = time.time) -> ReferenceTiming | None:
    """Time parts of a reference step until a moment (Unix seconds), less a little; None: it cannot be timed here.

    That is so if the reference is not one of :data:`PROGRAMS`, or if there was no time for a part.
    """
    if reference not in PROGRAMS or clock() >= until - LEAD_S:
        return None
    program = importlib.import_module(PROGRAMS[reference])
    part = program.make_part()
    for _ in range(WARM_UP):
        part()
    began = now = clock()
    parts = 0
    while now < until - LEAD_S:
        part()
        now = clock()
        parts += 1
    return ReferenceTiming((now - began) / parts * program.STEPS, now - began) if parts else None
