"""Whether a process is stopped by a signal."""

from __future__ import annotations

import os

_LONGEST_STAT = 1024


def is_stopped(pid: int) -> bool:
    """Whether the process is stopped by a signal (SIGSTOP); 0, and a process that has ended, is not."""
    if not pid:
        return False
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            text = os.read(descriptor, _LONGEST_STAT)
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return text.rpartition(b")")[2][:2] == b" T"
