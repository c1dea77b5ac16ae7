"""When devices time their reference steps before the gate opens: twice, and in between their limits are corrected.

What a step takes within a quota differs between equal containers, and changes with the processor's speed from the time
of the calibration on. The first timing says by how much, the agent gives the device a quota in which its step takes
what it should, and the second timing shows what came of it.

Only where a step consists of the parts that are timed: where its parts are other work, as much processor time of theirs
stands for a step only to within a tenth, when devices slow one another down. Such a device times them once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Devices pause for so long, in which agents read what they have timed and write other limits.
PAUSE_S: Final = 0.6
#: A limit becomes larger or smaller by this factor at most: what is off by more has another cause than the device.
MOST: Final = 1.25
#: What is off by less stays as it is.
LEAST: Final = 0.01


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


def corrected_cpus(cpus: float, asked: StepTime, took: StepTime) -> float:
    """Return the limit within which a step of one thread takes as long as it should.

    It follows from the time of the two that is nearer to what it should be, and stays as it is if one is shorter and
    the other longer. A step that waited because others had the processor takes no more processor time, and would not
    end sooner within another limit. Within a very small limit parts take more processor time, and yet end in time, as
    the kernel notices late that a quota is used up.

    Args:
        cpus: the limit in force, in cores.
        asked: what the step should take.
        took: what it took.
    """
    off = (took.seconds / asked.seconds - 1, took.cpu_seconds / asked.cpu_seconds - 1)
    if off[0] * off[1] <= 0:
        return cpus
    factor = min(max(1 + min(off, key=abs), 1 / MOST), MOST)
    return cpus if abs(factor - 1) < LEAST else round(min(cpus * factor, max(cpus, 1.0)), 5)
