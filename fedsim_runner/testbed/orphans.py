"""Ending the processes of a run, which are identified by a variable in their environment."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import psutil

from fedsim_runner.contract.process_identity import is_alive, start_time

GRACE_S = 2.0


def processes_with(variable: str, value: str | None = None) -> Iterator[tuple[int, dict[str, str]]]:
    """Other processes that were started with ``variable=value`` (None: any value), each with its environment."""
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            environment = process.environ()
        except (psutil.Error, OSError):
            continue
        if variable in environment and value in (None, environment[variable]):
            yield process.pid, environment


def end_processes(variable: str, value: str, only_orphans_of: str | None = None) -> int:
    """End processes started with ``variable=value``: SIGTERM, then SIGKILL to those that are still there.

    Args:
        only_orphans_of: name of the variable that identifies the owning process; processes whose owner is still
            alive are left alone.

    Returns:
        How many were found.
    """
    found: set[int] = set()
    deadline = time.monotonic() + GRACE_S
    while True:
        living = [
            pid
            for pid, environment in processes_with(variable, value)
            if start_time(pid) is not None
            and (only_orphans_of is None or not is_alive(environment.get(only_orphans_of, "")))
        ]
        if not living:
            return len(found)
        late = time.monotonic() > deadline
        for pid in living:
            if late or pid not in found:
                _signal(pid, signal.SIGKILL if late else signal.SIGTERM)
        found.update(living)
        if time.monotonic() > deadline + GRACE_S:
            return len(found)
        time.sleep(0.05)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return
