"""Clients that the agent has given up: ``lost.json`` in the gate's folder, which the server reads.

The file holds a JSON object, device name -> reason. It only grows, and is replaced as a whole.
"""

from __future__ import annotations

from pathlib import Path

from ..contract.paths import GATE_LOST
from ..contract.records import read_lost


class LostClients:
    """Reads the file when it changes; polling an unchanged file costs one ``stat``."""

    def __init__(self, gate: Path) -> None:
        self._path = gate / GATE_LOST
        self._seen: tuple[int, int, int] | None = None
        self._reported: dict[str, str] = {}

    def new_losses(self) -> dict[str, str]:
        """Devices that were given up since the last call, with reasons."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return {}
        mark = (status.st_mtime_ns, status.st_ino, status.st_size)
        if mark == self._seen:
            return {}
        self._seen = mark
        try:
            content = read_lost(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._seen = None
            return {}  # replaced between the two calls: the next call reads it
        fresh = {name: reason for name, reason in content.items() if name not in self._reported}
        self._reported.update(fresh)
        return fresh
