"""Reading an agent's journal, from a consumer's cursor on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ENDS = ("course_finished", "course_failed")


def course_has_ended(journal: Path) -> bool:
    """Whether the journal tells the end of a course."""
    try:
        text = journal.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return False
    # Cheap look first: journals of long courses have many lines that are none of our business.
    return any(_event(line).get("event") in ENDS for line in text.splitlines() if '"course_f' in line)


class Reader:
    """What one consumer has not read yet. The cursor is a file beside the journal, so it outlives the consumer."""

    def __init__(self, agent_folder: Path, consumer: str, keep: bool = True) -> None:
        self._journal = agent_folder / "journal.jsonl"
        self._cursor_file = agent_folder / "cursors" / consumer
        self._keep = keep
        self._cursor = self._load()

    @property
    def outcome(self) -> dict[str, Any] | None:
        """How the course ended, if this consumer has read it."""
        return self._cursor["outcome"]

    @property
    def gate_opened(self) -> float | None:
        """Unix seconds at which the gate opened, if this consumer has read it."""
        return self._cursor["gate_opened"]

    def news(self) -> list[dict[str, Any]]:
        """Complete lines since the cursor, which moves behind them."""
        try:
            with self._journal.open("rb") as stream:
                if stream.seek(0, 2) < self._cursor["offset"]:
                    self._cursor = _new_cursor()  # the journal was begun anew
                stream.seek(self._cursor["offset"])
                data = stream.read()
        except FileNotFoundError:
            return []
        complete = data[: data.rfind(b"\n") + 1]
        if not complete:
            return []
        events = [event for event in map(_event, complete.decode(errors="replace").splitlines()) if event]
        self._cursor["offset"] += len(complete)
        for event in events:
            self._note(event)
        self._save()
        return events

    def _note(self, event: dict[str, Any]) -> None:
        kind = event.get("event")
        if kind == "gate_opened":
            self._cursor["gate_opened"] = event.get("open_at") or event.get("t")
        elif kind == "course_finished":
            self._cursor["outcome"] = {"status": "finished", "reason": None, "device": None, "last_lines": []}
        elif kind == "course_failed" and self._cursor["outcome"] is None:
            self._cursor["outcome"] = {
                "status": "failed",
                "reason": event.get("reason"),
                "device": event.get("device"),
                "last_lines": event.get("last_lines") or [],
            }

    def _load(self) -> dict[str, Any]:
        try:
            found = json.loads(self._cursor_file.read_text())
            return {**_new_cursor(), **found}
        except (OSError, ValueError):
            return _new_cursor()

    def _save(self) -> None:
        if not self._keep:
            return
        self._cursor_file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._cursor_file.with_name(self._cursor_file.name + ".new")
        fresh.write_text(json.dumps(self._cursor))
        fresh.replace(self._cursor_file)


def _new_cursor() -> dict[str, Any]:
    return {"offset": 0, "outcome": None, "gate_opened": None}


def _event(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
