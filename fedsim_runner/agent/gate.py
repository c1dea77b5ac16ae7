"""The gate: a file in a folder that every device sees read-only. A launcher waits for it, then for its ``open_at``.

Only a launcher that has just started looks at it. So the agent may take the file away whenever a container of the
run ends, and put it back once all links are in force again: participants that are through notice nothing, and one
that is restarted stands before a closed gate until its new interface is shaped.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path


class Gate:
    """The gate of one run on one lab host."""

    def __init__(self, state: Path) -> None:
        self._file = state / "gate" / "open"

    def read(self) -> float | None:
        """When it opens or opened (Unix seconds); None while it is shut."""
        try:
            return float(json.loads(self._file.read_text())["open_at"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def open(self, open_at: float) -> None:
        """Let launchers through from ``open_at`` on; the file appears whole."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._file.with_name("open.new")
        fresh.write_text(json.dumps({"open_at": open_at}) + "\n")
        fresh.chmod(0o644)
        fresh.replace(self._file)

    def shut(self) -> None:
        """Launchers that start from now on wait."""
        with contextlib.suppress(FileNotFoundError):
            self._file.unlink()
