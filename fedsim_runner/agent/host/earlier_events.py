"""What happened on the lab host before the agent started, for its journal."""

from __future__ import annotations

from pathlib import Path

from ...contract.events import DevicesEmulated, parse_line


def how_devices_are_emulated(path: Path) -> list[DevicesEmulated]:
    """Return the events that the stage images left in this file; none where nothing is emulated."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
    return [event for event in map(parse_line, lines) if isinstance(event, DevicesEmulated)]
