"""The program of a device, in the engine's image, whose reference step is timed: as a participant times it before the
gate opens, and then whole steps.

Arguments: reference, parts of a step, seconds for the first and for the second, the least number of steps. It prints
``READY``, at SIGUSR1 times parts and prints what a step takes by the clock and of the processor in seconds, at another
one times steps and prints, as a JSON list, what each took by the clock.
"""

from __future__ import annotations

import importlib
import json
import signal
import sys
import time
from itertools import pairwise

from fedsim_runner.participant.reference_timing import PROGRAMS, prepare_reference

READY = "ready"
# A container whose control node was lost ends by itself.
GIVE_UP_S = 180


def time_device() -> None:
    """Time parts, then steps."""
    reference, parts, parts_s, steps_s, least = sys.argv[1], *map(float, sys.argv[2:])
    signal.alarm(GIVE_UP_S)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    step = importlib.import_module(PROGRAMS[reference]).make_step(1)
    step()
    time_parts = prepare_reference(reference, parts)
    assert time_parts is not None
    _say(READY)
    timing = time_parts(time.time() + parts_s)
    assert timing is not None
    _say(json.dumps([timing.step_s, timing.cpu_s]))
    times = [time.monotonic()]
    # Another one is begun only if most of it fits: all devices that are timed together then end at about one time.
    while len(times) <= least or times[-1] + (times[-1] - times[-2]) / 2 < times[0] + steps_s:
        step()
        times.append(time.monotonic())
    print(json.dumps([after - before for before, after in pairwise(times)]), flush=True)


def _say(what: object) -> None:
    print(what, flush=True)
    signal.sigwait({signal.SIGUSR1})


if __name__ == "__main__":
    time_device()
