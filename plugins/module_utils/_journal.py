"""Reading an agent's journal from a consumer's cursor on, and its snapshot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract import lenient
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.atomic import write_or_overwrite
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.course_state import (
    ONLY_HOST,
    CourseState,
    Outcome,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.events import (
    AwaitingLabHosts,
    Event,
    LoadingStarted,
    parse_line,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.interest import rank_interest
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import StateFolder

#: Above SNAPSHOT_DEVICES a snapshot has all of only SNAPSHOT_SHOWN, and one text with the states of the others: module
#: results pass through Ansible's callbacks, which look at each value of them.
SNAPSHOT_DEVICES = 50
SNAPSHOT_SHOWN = 20


def has_recorded(journal: Path, *kinds: type[Event]) -> bool:
    """Whether the journal has an event of one of these kinds."""
    try:
        text = journal.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return False
    # Journals of long courses have many lines: only those that may have one are parsed.
    candidates = [line for line in text.splitlines() if any(kind.name in line for kind in kinds)]
    return any(isinstance(parse_line(line), kinds) for line in candidates)


class Reader:
    """Reads what one consumer has not read yet. The cursor is a file next to the journal and outlives the consumer."""

    def __init__(self, state: StateFolder, consumer: str, keep: bool = True) -> None:
        self._journal = state.journal
        self._cursor_file = state.cursors / consumer
        self._keep = keep
        self._offset = 0
        self._course = CourseState()
        self._loading_until: float | None = None
        self._load()

    @property
    def outcome(self) -> Outcome | None:
        """How the course ended on this lab host, if this consumer has read it."""
        return self._course.outcome

    @property
    def gate_opens(self) -> float | None:
        """Unix seconds at which the gate opens or opened, if this consumer has read it."""
        return self._course.gate_opens

    @property
    def loading_until(self) -> float | None:
        """Unix seconds by which all participants must have loaded, if this consumer has read it."""
        return self._loading_until

    def new_events(self) -> list[dict[str, Any]]:
        """Return the events of complete lines since the cursor, which moves past them."""
        try:
            with self._journal.open("rb") as stream:
                if stream.seek(0, 2) < self._offset:
                    self._offset, self._course, self._loading_until = 0, CourseState(), None  # a new journal
                stream.seek(self._offset)
                data = stream.read()
        except FileNotFoundError:
            return []
        complete = data[: data.rfind(b"\n") + 1]
        if not complete:
            return []
        events = [event for event in map(parse_line, complete.decode(errors="replace").splitlines()) if event]
        self._offset += len(complete)
        self._course.apply_all(events)
        for event in events:
            if isinstance(event, LoadingStarted) and event.t is not None:
                self._loading_until = event.t + (event.limit_s or 0.0)
            elif isinstance(event, AwaitingLabHosts):  # which may take longer, and is limited by their own loading
                self._loading_until = None
        self._save()
        return [event.as_dict() for event in events]

    def _load(self) -> None:
        """Restore the cursor and what is known of the course up to it."""
        try:
            found = json.loads(self._cursor_file.read_text())
        except (OSError, ValueError):
            return
        if not isinstance(found, dict):
            return
        self._offset = lenient.whole(found.get("offset")) or 0
        self._course.gate_opens = lenient.number(found.get("gate_opens"))
        self._loading_until = lenient.number(found.get("loading_until"))
        outcome = Outcome.parse(found.get("outcome"))
        if outcome is not None:
            self._course.ends[ONLY_HOST] = outcome

    def _save(self) -> None:
        if not self._keep:
            return
        self._cursor_file.parent.mkdir(parents=True, exist_ok=True)
        cursor = {
            "offset": self._offset,
            "gate_opens": self.gate_opens,
            "loading_until": self.loading_until,
            "outcome": None if self.outcome is None else self.outcome.as_dict(),
        }
        write_or_overwrite(self._cursor_file, json.dumps(cursor))


def read_snapshot_time(state: StateFolder) -> float | None:
    """Return when the agent wrote its last snapshot (Unix seconds); None before the first one."""
    try:
        return state.snapshot.stat().st_mtime
    except OSError:
        return None


def read_snapshot(state: StateFolder) -> dict[str, Any] | None:
    """Return the agent's last snapshot of its devices, shorter if there are many; None before the first one."""
    try:
        found = json.loads(state.snapshot.read_text())
    except (OSError, ValueError):
        return None
    devices = found.get("devices") if isinstance(found, dict) else None
    if not isinstance(devices, dict):
        return None
    if len(devices) > SNAPSHOT_DEVICES:
        found["devices"] = shown = _select_most_interesting(devices)
        others = ((name, device) for name, device in devices.items() if name not in shown)
        found["others"] = "\n".join(f"{name} {device['state']} {device['round']}" for name, device in others)
    return found


def _select_most_interesting(devices: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the first device (the server, if it is on this lab host) and those that are furthest behind."""
    first, *rest = devices
    rest.sort(key=lambda name: rank_interest(devices[name]["state"], devices[name]["round"]))
    return {name: devices[name] for name in (first, *rest[: SNAPSHOT_SHOWN - 1])}
