"""When devices time their reference steps before the gate opens: twice, and in between their limits are corrected.

What a step takes within a quota differs between equal containers, and changes with the processor's speed from the time
of the calibration on. The first timing says by how much, the agent gives the device a quota in which its step takes
what it should, and the second timing shows what came of it.

Where a step consists of the parts that are timed, each device's limit is corrected by its own. Parts that are other
work than the step say what it takes on one device only to within some percent. But their median, over all such devices
of a lab host, says by how much steps there take longer than in the calibration: those limits are corrected by one
factor.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

#: Devices pause for so long, in which agents read what they have timed and write other limits.
PAUSE_S: Final = 0.6
#: A limit becomes larger or smaller by this factor at most: what is off by more has another cause than the device.
MOST: Final = 1.25
#: What is off by less stays as it is.
LEAST: Final = 0.01
#: By so much the median of what devices' parts say may be off by chance: only what is more is corrected.
CHANCE: Final = 0.02


def whole_s(window_s: float) -> float:
    """Return how long before the gate opens devices begin that time their steps for so many seconds each time."""
    return 2 * window_s + PAUSE_S


def first_until(since: float, open_at: float) -> float:
    """Return when the first timing ends of a device that begins at ``since``; the second lasts from a pause after that
    until the gate opens. Moments of any clock, in seconds.
    """
    return since + max(0.0, open_at - since - PAUSE_S) / 2


@dataclass(frozen=True)
class StepTime:
    """What a reference step took, or should take, by the clock and of the processor, in seconds."""

    seconds: float
    cpu_seconds: float


def correction(asked: StepTime, took: StepTime) -> float:
    """Return the factor by which a device of one thread needs another limit for a step to take as long as it should.

    It follows from the time of the two that is nearer to what it should be, and is 1 if one is shorter and the other
    longer. A step that waited because others had the processor takes no more processor time, and would not end sooner
    within another limit. Within a very small limit parts take more processor time, and yet end in time, as the kernel
    notices late that a quota is used up.

    Args:
        asked: what the step should take.
        took: what it took.
    """
    off = (took.seconds / asked.seconds - 1, took.cpu_seconds / asked.cpu_seconds - 1)
    return 1.0 if off[0] * off[1] <= 0 else 1 + min(off, key=abs)


def common_correction(steps: Iterable[tuple[StepTime, StepTime]]) -> float:
    """Return the factor for all devices whose parts are other work than the step.

    It is the median of what each would need, nearer to 1 by :data:`CHANCE`.

    Args:
        steps: of each device what a step should take, and what it took; at least one.
    """
    off = statistics.median(correction(asked, took) for asked, took in steps) - 1
    return 1 + math.copysign(max(0.0, abs(off) - CHANCE), off)


def corrected_cpus(cpus: float, factor: float) -> float:
    """Return the limit of a device of one thread.

    Args:
        cpus: the limit in force, in cores.
        factor: by which it needs another one.
    """
    factor = min(max(factor, 1 / MOST), MOST)
    return cpus if abs(factor - 1) < LEAST else round(min(cpus * factor, max(cpus, 1.0)), 5)
