"""When the whole machine stood still: a hypervisor, or the host of a user-mode kernel, ran something else.

No program on the machine can be punctual then, so what it was late by says nothing about the program.
"""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import time
from collections.abc import Iterator, Sequence
from types import FrameType

from .children import fork

SLEEP_S = 0.005
#: A sleep that took so much longer was a pause; clocks of some kernels tick every 10 ms.
LEAST_S = 0.011
_SPAN = struct.Struct("dd")

#: From when until when, on the monotonic clock.
Pause = tuple[float, float]


@contextlib.contextmanager
def watching(found: list[Pause]) -> Iterator[None]:
    """Add the machine's pauses meanwhile, once it is over.

    A process of the highest priority sleeps again and again: nothing but a pause of the machine delays it. Where that
    priority is refused, nothing is added, as anything might.
    """
    reading, writing = os.pipe()
    child = fork(lambda: _sleep(writing))
    os.close(writing)
    try:
        yield
    finally:
        os.kill(child, signal.SIGTERM)
        with os.fdopen(reading, "rb") as pipe:
            found += _SPAN.iter_unpack(pipe.read())
        os.waitpid(child, 0)


def within(pauses: Sequence[Pause], since: float, until: float) -> float:
    """How many seconds of a time were pauses."""
    return sum(max(0.0, min(until, end) - max(since, begin)) for begin, end in pauses)


def _sleep(writing: int) -> None:
    stopping = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(os.sched_get_priority_max(os.SCHED_FIFO)))
    except OSError:
        return
    last = time.monotonic()
    while not stopping:
        time.sleep(SLEEP_S)
        now = time.monotonic()
        if now - last - SLEEP_S > LEAST_S:
            os.write(writing, _SPAN.pack(last + SLEEP_S, now))
        last = now
