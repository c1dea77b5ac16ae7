"""What a participant waits for: being admitted to load its engine, then the gate.

A participant sends no packet before its link is shaped, so it takes part only once the gate is open. It loads its
engine before that, but only when it is admitted: if all of a lab host's participants loaded theirs at the same time, or
while the others' containers are still being made, each of them would take as long as all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ..contract.paths import GATE_LOAD, GATE_OPEN
from ..contract.records import read_open_at

POLL_S = 0.2
# A testbed may be up for hours before its course starts, with hundreds of participants that wait.
IDLE_POLL_S = 0.5


def wait_to_load(folder: Path, device: str) -> None:
    """Block until this device may load its engine: it is admitted, or the gate is open already.

    Args:
        folder: the gate's folder.
        device: the device's name; empty for a participant that was started by hand, which need not wait.
    """
    admissions, opened = folder / GATE_LOAD, folder / GATE_OPEN
    admitted = admissions / device
    while device and not admitted.exists() and not opened.exists():
        time.sleep(POLL_S if admissions.exists() else IDLE_POLL_S)


def wait_for_gate(folder: Path, meanwhile: Callable[[float], None] | None = None) -> float:
    """Block until ``folder/open`` appears, and until the time it names. Returns the unix time at which the gate opened.

    With several lab hosts the gates open at an agreed time. For a device that is started anew that is long past.
    ``meanwhile`` is called with that time once it is known.
    """
    path = folder / GATE_OPEN
    while True:
        try:
            open_at = read_open_at(path.read_text(encoding="utf-8"))
            break
        except (FileNotFoundError, ValueError):  # absent, or seen while it is being written
            time.sleep(POLL_S)
    if open_at is not None and meanwhile is not None:
        meanwhile(open_at)
    while open_at is not None and time.time() < open_at:
        time.sleep(min(POLL_S, max(0.0, open_at - time.time())))
    return time.time() if open_at is None else open_at
