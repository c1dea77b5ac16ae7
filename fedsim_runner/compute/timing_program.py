"""The program that times a reference in a container; the reference's own program comes before it.

Arguments: threads, then for each phase its seconds of measuring, and the seconds of timing parts before each step and
after the last (0: none). It says that it is ready once a step was done, and begins each phase at SIGUSR1: the container
is given its limit in between. Of each phase it prints one JSON line: ``steps``, of each wall-clock and processor
seconds, and ``part``, the processor seconds of one.
"""

from __future__ import annotations

import json
import signal
import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise

READY = "ready"
# A container whose control node was lost ends by itself.
GIVE_UP_S = 90
# The first parts load what they need.
WARM_UP = 3
# What comes first has what was left of the first period.
SPIN_S = 0.25


def time_phases() -> None:
    """Time steps as the arguments say."""
    threads, times = int(sys.argv[1]), [float(word) for word in sys.argv[2:]]
    signal.alarm(GIVE_UP_S)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    step = make_step(threads)  # type: ignore[name-defined]  # noqa: F821 - of the program that comes before this one
    step()
    part = make_part() if any(times[1::2]) else None  # type: ignore[name-defined]  # noqa: F821 - likewise
    if part is not None:
        for _ in range(WARM_UP):
            part()
    print(READY, flush=True)
    for seconds, of_parts in zip(times[::2], times[1::2], strict=True):
        signal.sigwait({signal.SIGUSR1})
        signal.alarm(GIVE_UP_S)
        print(json.dumps(time_steps(step, part if of_parts else None, seconds, of_parts)), flush=True)


def time_steps(step: Callable[[], None], part: Callable[[], None] | None, seconds: float, of_parts: float) -> object:
    """Return the phase's result."""
    spin(SPIN_S)
    end = time.monotonic() + seconds
    steps: list[tuple[float, float]] = []
    # The processor's speed changes from second to second: parts are timed between steps, so that both have the same.
    parts = time_parts(part, of_parts)
    # Without parts each step ends where the next begins: a process that has used up its quota is held when it leaves
    # the kernel, and reading its processor time is a call of the kernel. Between two steps that wait would belong to
    # none.
    began = time.monotonic(), time.process_time()
    # Another one is begun only if most of it fits: all containers that are timed together then end at about one time.
    while not steps or began[0] + steps[-1][0] / 2 < end:
        step()
        ended = time.monotonic(), time.process_time()
        steps.append((ended[0] - began[0], ended[1] - began[1]))
        parts += time_parts(part, of_parts)
        began = ended if part is None else (time.monotonic(), time.process_time())
    return {"steps": steps, "part": statistics.median(parts) if parts else None}


def spin(seconds: float) -> None:
    """Compute for so long, which uses up what a limit allows."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def time_parts(part: Callable[[], None] | None, seconds: float) -> list[float]:
    """Return the processor seconds of each of the parts that were done one after the other for so long."""
    if part is None:
        return []
    part()
    end, ends = time.monotonic() + seconds, [time.process_time()]
    while time.monotonic() < end or len(ends) == 1:
        part()
        ends.append(time.process_time())
    return [after - before for before, after in pairwise(ends)]


if __name__ == "__main__":
    time_phases()
