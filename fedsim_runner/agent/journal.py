"""The journal: one JSON object per line, on disk as soon as it is written."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any


class Journal:
    """Appends events with the time (``t``, Unix seconds); safe from several threads."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()

    def write(self, event: dict[str, Any]) -> None:
        """One line."""
        line = json.dumps({"t": round(time.time(), 3), **_plain(event)}, allow_nan=False).encode() + b"\n"
        with self._lock:
            self._file.write(line)

    def close(self) -> None:
        self._file.close()


def _plain(value: Any) -> Any:
    """NaN and infinities are no JSON: as null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
