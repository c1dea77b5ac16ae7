"""When devices time their reference steps before the gate opens: twice, and in between their limits are corrected.

What a step takes within a quota differs between equal containers, and changes with the processor's speed from the time
of the calibration on. The first timing says by how much, the agent gives the device a quota in which its step takes
what it should, and the second timing shows what came of it.

Only where a step consists of the parts that are timed: where its parts are other work, as much processor time of theirs
stands for a step only to within a tenth, when devices slow one another down. Such a device times them once.
"""

from __future__ import annotations

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


def corrected_cpus(cpus: float, asked_cpu_s: float, cpu_s: float) -> float:
    """Return the limit within which a step of one thread takes as long as it should.

    Processor time is compared, as the limit is one of it: a step that waited because others had the processor would
    take no less of it with another limit.

    Args:
        cpus: the limit in force, in cores.
        asked_cpu_s: the processor time that the step has within this limit in the time that it should take.
        cpu_s: the processor time that it took.
    """
    factor = min(max(cpu_s / asked_cpu_s, 1 / MOST), MOST)
    return cpus if abs(factor - 1) < LEAST else round(min(cpus * factor, max(cpus, 1.0)), 5)
