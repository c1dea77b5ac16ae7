"""The program that times a reference in a container; the reference's own program comes before it.

Arguments: seconds of measuring, threads. It says that it is ready once a step was done, and begins at SIGUSR1: the
container is given its limit in between. It prints one JSON line: of each step wall-clock and processor seconds.
"""

from __future__ import annotations

import json
import signal
import sys
import time

READY = "ready"
LEAST_STEPS = 3
# A container whose control node was lost ends by itself.
GIVE_UP_S = 90


def time_steps() -> None:
    """Time steps as the arguments say."""
    seconds, threads = float(sys.argv[1]), int(sys.argv[2])
    signal.alarm(GIVE_UP_S)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    step = make_step(threads)  # type: ignore[name-defined]  # noqa: F821 - of the program that comes before this one
    step()
    print(READY, flush=True)
    signal.sigwait({signal.SIGUSR1})
    step()  # the first one has what was left of the first period
    found: list[tuple[float, float]] = []
    end = time.monotonic() + seconds
    while len(found) < LEAST_STEPS or time.monotonic() < end:
        wall, used = time.monotonic(), time.process_time()
        step()
        found.append((time.monotonic() - wall, time.process_time() - used))
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    time_steps()
