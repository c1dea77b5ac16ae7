"""Timing a reference step within the device's limit, while it waits for the gate: as fast as it was to be?"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

#: The programs whose parts can be timed, by reference.
PROGRAMS = {
    "numpy-mlp": "fedsim_runner.participant.light.reference_step",
    "mobilenetv3-small": "fedsim_runner.participant.federatedscope.reference_step",
}
# So long before the gate it ends, that nothing of it is left in the device's limit.
LEAD_S = 0.2
# The first parts load what they need: they are done while the device has no limit yet.
WARM_UP = 3
# A part that takes so many times as long as the shortest one contains a wait for the limit's next period.
HELD = 3.0


@dataclass(frozen=True)
class ReferenceTiming:
    """What a step took, computed from its parts, and how long those of them took that count; in seconds.

    ``cpu_s``: the processor time of a step, of the whole process.
    """

    step_s: float
    timed_s: float
    cpu_s: float


def prepare_reference(
    reference: str,
    parts: float,
    clock: Callable[[], float] = time.time,
    cpu_clock: Callable[[], float] = time.process_time,
) -> Callable[[float], ReferenceTiming | None] | None:
    """Load a reference's program and do some parts; return what times others until a moment (Unix seconds).

    That ends a little before the moment, and returns None if there was no time for two parts.

    Args:
        reference: None is returned if it is not one of :data:`PROGRAMS`.
        parts: to how many of them a step is equal.
        clock: Unix seconds.
        cpu_clock: seconds of this process.
    """
    if reference not in PROGRAMS:
        return None
    part: Callable[[], None] = importlib.import_module(PROGRAMS[reference]).make_part()
    for _ in range(WARM_UP):
        part()

    def time_parts(until: float) -> ReferenceTiming | None:
        end = until - LEAD_S
        ends = [clock()]
        if ends[0] >= end:
            return None
        longest = used = 0.0
        while ends[-1] + longest < end or len(ends) == 1:
            part()
            ends.append(clock())
            longest = max(longest, ends[-1] - ends[-2])
            used = used or cpu_clock()
        cpu_s = cpu_clock() - used
        del ends[0]  # the first part has what was left of the first period
        first, last = _whole_periods(ends)
        if last == first:
            return None
        took = ends[last] - ends[first]
        return ReferenceTiming(took / (last - first) * parts, took, cpu_s / (len(ends) - 1) * parts)

    return time_parts


def _whole_periods(ends: Sequence[float]) -> tuple[int, int]:
    """Return between which two of the times at which parts ended parts are counted.

    A device with a small limit does many parts at once, since the kernel notices only at its next tick that a quota is
    used up, and then waits for as many periods as it has overdrawn. So parts count from the end of one wait to that of
    another. Where these two are not most of the time apart, all of them count: without a limit a wait is a coincidence.
    """
    took = [after - before for before, after in pairwise(ends)]
    least = HELD * min(took, default=0.0)
    held = [number for number, seconds in enumerate(took, 1) if seconds > least]
    first, last = (held[0], held[-1]) if held else (0, 0)
    return (first, last) if ends[last] - ends[first] > sum(took) / 2 else (0, len(ends) - 1)
