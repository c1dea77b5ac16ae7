"""The gate: a participant sends no packet before its link is shaped."""

from __future__ import annotations

import time
from pathlib import Path

from ..contract.paths import GATE_OPEN
from ..contract.records import read_open_at

POLL_S = 0.2


def wait_for_gate(folder: Path) -> float:
    """Block until ``folder/open`` appears, and until the time it names. Returns the unix time of passing.

    With several lab hosts the gates open at an agreed time.
    """
    path = folder / GATE_OPEN
    while True:
        try:
            open_at = read_open_at(path.read_text(encoding="utf-8"))
            break
        except (FileNotFoundError, ValueError):  # absent, or seen while it is being written
            time.sleep(POLL_S)
    while open_at is not None and time.time() < open_at:
        time.sleep(min(POLL_S, max(0.0, open_at - time.time())))
    return time.time()
