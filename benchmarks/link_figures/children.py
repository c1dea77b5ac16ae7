"""Processes of a measurement: those that send, and those that compute as devices at their full quota do."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator

_LOWEST_PRIORITY = 1  # of real-time processes: the testbed's own stay ahead
_PERIOD_S = 0.02  # of a device's quota
_LEFT_CPUS = 0.2  # what a plan leaves for the testbed


def fork(work: Callable[[], None]) -> int:
    """Do the work in another process, whose id is returned."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            work()
        os._exit(0)
    return child


@contextlib.contextmanager
def before_others() -> Iterator[None]:
    """This thread runs before all that computes, so that it takes the time when a packet comes, not some turns later.

    Only for work that waits: the testbed itself must find a processor.
    """
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_LOWEST_PRIORITY))
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, priority)


@contextlib.contextmanager
def busy_devices(count: int) -> Iterator[None]:
    """So many devices compute, each as much as its quota allows, which together are all but a fifth of a processor."""
    quota_s = _PERIOD_S * ((os.cpu_count() or 1) - _LEFT_CPUS) / max(1, count)
    children = [fork(lambda: _use_quota(quota_s)) for _ in range(count)]
    try:
        yield
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _use_quota(quota_s: float) -> None:
    """Compute for the quota of each period, as a throttled container does."""
    period = time.monotonic()
    while True:
        used = time.process_time() + quota_s
        while time.process_time() < used:
            pass
        period = max(period + _PERIOD_S, time.monotonic() - _PERIOD_S)
        time.sleep(max(0.0, period - time.monotonic()))
