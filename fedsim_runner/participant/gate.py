"""The gate: a participant sends no packet before its link is shaped."""

from __future__ import annotations

import json
import time
from pathlib import Path

POLL_S = 0.2


def wait_for_gate(folder: Path) -> float:
    """Block until ``folder/open`` appears, and until the time it names. Returns the unix time of passing.

    The file holds ``{"open_at": unix seconds or null}``: on several lab hosts the gates open at an agreed time.
    """
    path = folder / "open"
    while True:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            break
        except (FileNotFoundError, json.JSONDecodeError):  # absent, or seen while it is being written
            time.sleep(POLL_S)
    open_at = content.get("open_at")
    while open_at is not None and time.time() < open_at:
        time.sleep(min(POLL_S, max(0.0, open_at - time.time())))
    return time.time()
