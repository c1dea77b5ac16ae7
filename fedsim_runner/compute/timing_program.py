"""The program that times a reference in a container; the reference's own program comes before it.

Arguments: seconds of measuring, threads, the least number of steps. It says that it is ready once a step was done, and
begins at SIGUSR1: the container is given its limit in between. It prints one JSON line: of each step wall-clock and
processor seconds.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from itertools import pairwise

READY = "ready"
# A container whose control node was lost ends by itself.
GIVE_UP_S = 90


def time_steps() -> None:
    """Time steps as the arguments say."""
    seconds, threads, least = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    signal.alarm(GIVE_UP_S)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    step = make_step(threads)  # type: ignore[name-defined]  # noqa: F821 - of the program that comes before this one
    step()
    print(READY, flush=True)
    signal.sigwait({signal.SIGUSR1})
    step()  # the first one has what was left of the first period
    # Each step ends where the next begins: a process that has used up its quota is held when it leaves the kernel, and
    # reading its processor time is a call of the kernel. Between two steps that wait would belong to none.
    times = [(time.monotonic(), time.process_time())]
    end = times[0][0] + seconds
    while len(times) <= least or times[-1][0] < end:
        step()
        times.append((time.monotonic(), time.process_time()))
    steps = [(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(times)]
    print(json.dumps(steps), flush=True)


if __name__ == "__main__":
    time_steps()
