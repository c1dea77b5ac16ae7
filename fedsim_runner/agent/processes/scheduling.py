"""Being run in time on a lab host whose processors all compute, without ever taking them from it.

``nice`` counts only among the processes of one cgroup; beside the agent's, each device's cgroup has the same weight.
Under SCHED_FIFO the packet process runs as soon as a packet arrives or is due. A kernel with RT_GROUP_SCHED refuses
that in a cgroup without a real-time budget, as a container's is: then the process, and only it, moves to the root of
the cpu cgroups. With cgroup v1 it keeps its container's other limits; with v2 it leaves them all, so it gets a limit of
its own for its memory, and its end follows from that of its standard input. Where that is refused, too, the agent's
container gets the largest cpu weight.

Three things keep a real-time process from starving the lab host: it rests (:class:`Rest`) below what the kernel's own
throttle allows, it is no longer a real-time process after five seconds of work without a pause, and after ten the
kernel ends it (RLIMIT_RTTIME).
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterable
from pathlib import Path

from ..host.cgroup_folders import MOUNTS, V2, cgroup_folders

REAL_TIME, WEIGHT, NICE = "real-time", "cpu weight", "nice"

_NICE = -15
# Any of the real-time priorities is above all other processes. Threads of the agent have lower ones than this
# (timeline/priority.py): what they prepare, or look at, must keep neither packets waiting nor changes.
_PRIORITY = 3
_UNBROKEN_US = 5_000_000, 10_000_000
_OWN_MEMORY_BYTES = 1 << 30
_V1_WEIGHT, _V2_WEIGHT = "262144", "10000"
_WINDOW_S = 0.02
_LEAST_REST = 0.06
_LEAST_REST_OF_ALL = 0.3  # where there is one processor
_KERNEL_RUNTIME, _KERNEL_PERIOD = (Path(f"/proc/sys/kernel/sched_rt_{name}_us") for name in ("runtime", "period"))


class Rest:
    """Leaves a share of one processor to others, whatever there is to do.

    The kernel's throttle (95 % of each second) would do the same, but in one piece, and packets would be 50 ms late.

    Args:
        share: of the time.
    """

    def __init__(self, share: float = _LEAST_REST) -> None:
        self._share = share
        self._since = self._waited = 0.0

    def waited(self, seconds: float) -> None:
        """Take note of a pause."""
        self._waited += seconds

    def due_s(self, now: float) -> float:
        """Seconds for which to rest now; mostly 0."""
        passed = now - self._since
        if passed < _WINDOW_S:
            return 0.0
        missing = self._share * passed - self._waited if self._since else 0.0
        self._since, self._waited = now, 0.0
        return min(max(0.0, missing), self._share * _WINDOW_S * 2)


def least_rest() -> float:
    """The share of its time that a real-time process rests: a little more than the kernel asks for."""
    least = _LEAST_REST if (os.cpu_count() or 1) > 1 else _LEAST_REST_OF_ALL
    try:
        runtime, period = int(_KERNEL_RUNTIME.read_text()), int(_KERNEL_PERIOD.read_text())
    except (OSError, ValueError):
        return least
    return least if runtime < 0 else min(0.9, max(least, 1.01 - runtime / period))


def gain_priority(mounts: Iterable[Path] = MOUNTS) -> str:
    """Have this process run before others where the lab host allows that.

    Args:
        mounts: where the lab host's cgroups are mounted.

    Returns:
        :data:`REAL_TIME`, or else the best that there is: :data:`WEIGHT` or :data:`NICE`.
    """
    mounts = tuple(mounts)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    except OSError:  # without CAP_SYS_NICE packets are only late under load
        return WEIGHT if _weigh_most(mounts) else NICE
    if _become_real_time():
        return REAL_TIME
    if _move_to_the_root(mounts):
        # There, at least, nice counts beside all devices.
        return REAL_TIME if _become_real_time() else WEIGHT
    return WEIGHT if _weigh_most(mounts) else NICE


def present(gained: str) -> str:
    """How this process runs now, if :func:`gain_priority` has returned ``gained``."""
    still = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_FIFO
    return NICE if gained == REAL_TIME and not still else gained


def _become_real_time() -> bool:
    signal.signal(signal.SIGXCPU, lambda number, frame: _become_normal())
    try:
        resource.setrlimit(resource.RLIMIT_RTTIME, _UNBROKEN_US)
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(_PRIORITY))
    except (OSError, ValueError):
        return False
    return True


def _become_normal() -> None:
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _move_to_the_root(mounts: Iterable[Path]) -> bool:
    for mount in mounts:
        # v2's root has no limits and no weight, so no such files.
        v1 = (mount / "cpu" / "cpu.shares").exists()
        try:
            (mount / "cpu" / "cgroup.procs" if v1 else mount / "cgroup.procs").write_text(str(os.getpid()))
            if not v1:
                resource.setrlimit(resource.RLIMIT_DATA, (_OWN_MEMORY_BYTES, _OWN_MEMORY_BYTES))
        except (OSError, ValueError):
            continue
        return True
    return False


def _weigh_most(mounts: Iterable[Path]) -> bool:
    folders = cgroup_folders(os.getpid(), "", mounts)
    file, weight = (
        (folders[V2] / "cpu.weight", _V2_WEIGHT)
        if V2 in folders
        else (folders.get("cpu", Path("/nowhere")) / "cpu.shares", _V1_WEIGHT)
    )
    try:
        file.write_text(weight)
    except OSError:
        return False
    return True
