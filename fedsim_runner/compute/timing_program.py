"""The program that times a reference in a container; the reference's own program comes before it.

Arguments: seconds of measuring, threads, the least number of steps, seconds of timing parts before and again after them
(0: none). It says that it is ready once a step was done, and begins at SIGUSR1: the container is given its limit in
between. It prints one JSON line: ``steps``, of each wall-clock and processor seconds, and ``part``, the processor
seconds of one.
"""

from __future__ import annotations

import json
import signal
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


def time_steps() -> None:
    """Time steps as the arguments say."""
    seconds, threads, least, of_parts = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    signal.alarm(GIVE_UP_S)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    step = make_step(threads)  # type: ignore[name-defined]  # noqa: F821 - of the program that comes before this one
    step()
    part = make_part() if of_parts else None  # type: ignore[name-defined]  # noqa: F821 - likewise
    if part is not None:
        for _ in range(WARM_UP):
            part()
    print(READY, flush=True)
    signal.sigwait({signal.SIGUSR1})
    spin(SPIN_S)
    before = time_parts(part, of_parts)
    # Each step ends where the next begins: a process that has used up its quota is held when it leaves the kernel, and
    # reading its processor time is a call of the kernel. Between two steps that wait would belong to none.
    times = [(time.monotonic(), time.process_time())]
    end, last_s = times[0][0] + seconds, 0.0
    # Another one is begun only if most of it fits: all containers that are timed together then end at about one time.
    while len(times) <= least or times[-1][0] + last_s / 2 < end:
        step()
        times.append((time.monotonic(), time.process_time()))
        last_s = times[-1][0] - times[-2][0]
    after = time_parts(part, of_parts)  # the processor's speed changes: a step is compared with parts on both sides
    steps = [
        (end_s - begin_s, end_cpu_s - begin_cpu_s) for (begin_s, begin_cpu_s), (end_s, end_cpu_s) in pairwise(times)
    ]
    part_s = None if part is None else (before[0] + after[0]) / (before[1] + after[1])
    print(json.dumps({"steps": steps, "part": part_s}), flush=True)


def spin(seconds: float) -> None:
    """Compute for so long, which uses up what a limit allows."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def time_parts(part: Callable[[], None] | None, seconds: float) -> tuple[float, int]:
    """Return the processor seconds of parts that were done one after the other for so long, and how many there were."""
    if part is None:
        return 0.0, 0
    part()
    began, end, parts = time.process_time(), time.monotonic() + seconds, 0
    while time.monotonic() < end or not parts:
        part()
        parts += 1
    return time.process_time() - began, parts


if __name__ == "__main__":
    time_steps()
