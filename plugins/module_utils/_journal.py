"""Reading an agent's journal, from a consumer's cursor on, and its snapshot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.atomic import write_or_overwrite

ENDS = ("course_finished", "course_failed")
#: A snapshot of more devices is cut down to so many: results of modules travel through Ansible's callbacks.
SNAPSHOT_DEVICES = 50
SNAPSHOT_SHOWN = 20
#: Those first of which a person may want to know why the round takes so long.
INTEREST = ("failed", "lost", "sending", "training", "receiving", "evaluating", "starting", "waiting")


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
        write_or_overwrite(self._cursor_file, json.dumps(self._cursor))


def read_snapshot(agent_folder: Path) -> dict[str, Any] | None:
    """What the agent last saw of its devices, cut down if there are many; None before its first look."""
    try:
        found = json.loads((agent_folder / "snapshot.json").read_text())
    except (OSError, ValueError):
        return None
    devices = found.get("devices") if isinstance(found, dict) else None
    if not isinstance(devices, dict):
        return None
    if len(devices) > SNAPSHOT_DEVICES:
        found["devices"] = _most_interesting(devices)
    return found


def _most_interesting(devices: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The first device, which is the server where it is on this lab host, and those that are furthest behind."""
    ranks = {state: rank for rank, state in enumerate(INTEREST)}
    first, *rest = devices
    rest.sort(key=lambda name: (ranks.get(devices[name]["state"], len(ranks)), devices[name]["round"]))
    return {name: devices[name] for name in (first, *rest[: SNAPSHOT_SHOWN - 1])}


def _new_cursor() -> dict[str, Any]:
    return {"offset": 0, "outcome": None, "gate_opened": None}


def _event(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
