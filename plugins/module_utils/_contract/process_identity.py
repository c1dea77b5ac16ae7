"""Telling processes apart over time: a pid may be reused, a pid with its start time is not (see proc(5)).

The start time is the kernel's, in ticks since boot. psutil reports it in wall-clock time, which changes when the clock
is set.
"""

from __future__ import annotations

import os
from pathlib import Path


def own_identity() -> str:
    """This process as ``pid:start time``, which stays unique when pids are reused."""
    return f"{os.getpid()}:{start_time(os.getpid())}"


def is_alive(identity: str) -> bool:
    """Whether the process identified by :func:`own_identity` is still running."""
    pid, _, started = identity.partition(":")
    return pid.isdigit() and start_time(int(pid)) == started


def start_time(pid: int) -> str | None:
    """Start time in clock ticks since boot; None if there is no such process or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]
