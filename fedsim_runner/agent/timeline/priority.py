"""Being in time on a lab host whose processors all compute: the agent before devices, one thread in real time."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from collections.abc import Iterable
from pathlib import Path

from ..host.cgroup_folders import MOUNTS

_NICE = -15
#: Real-time priorities, all of which are above all other processes: of what prepares what is due, and of what only
#: looks at what was done. Of two with the same one, neither would run before the other pauses.
PREPARES, LOOKS = 2, 1


def run_before_devices() -> None:
    """Have this process, and the programs that it starts, run before others of its cgroup, where that is allowed.

    Its threads share Python's lock: one with real-time priority waits for an ordinary one that has the lock, and may
    itself have to wait for processors on which devices compute. Beside the devices' cgroups the container's weight
    counts (plugins/modules/fedsim_agent.py).
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)


def gain_priority(mounts: Iterable[Path] = MOUNTS, priority: int = PREPARES) -> bool:
    """Have the calling thread run before others; return whether it has real-time priority.

    It does little, so it needs no bound of its own but the kernel's. A kernel with RT_GROUP_SCHED refuses real time in
    a container's cgroup: with cgroup v1 the thread, and only it, moves to the root of the cpu cgroups. With v2 a thread
    cannot leave its process.
    """
    if _become_real_time(priority):
        return True
    for mount in mounts:
        if (mount / "cpu" / "cpu.shares").exists():
            with contextlib.suppress(OSError):
                (mount / "cpu" / "tasks").write_text(str(threading.get_native_id()))
                return _become_real_time(priority)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
    return False


def spare_collections() -> None:
    """Leave what there is by now out of collections of garbage, which hold Python's lock until they are done.

    To look at all that the agent has of a hundred devices takes longer than a change may be late.
    """
    gc.freeze()


def _become_real_time(priority: int) -> bool:
    try:
        # Of the calling thread; programs and threads that it starts are ordinary ones.
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except OSError:
        return False
    return True
