"""What became of each event of the experiment, one row for each: events.csv."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fedsim_runner.contract.events import EventBegun, EventEnded, EventFailed, TimelineEvent
from fedsim_runner.contract.time_scale import TimeScale
from fedsim_runner.contract.timeline import TimelineEntry, describe_change, describe_time, in_device_time
from fedsim_runner.contract.typed_json import FormError, load

EVENTS_FILE = "events.csv"
COLUMNS = (
    "event",
    "of",
    "when",
    "devices",
    "what",
    "duration_seconds",
    "state",
    "due_at",
    "began_at",
    "late_seconds",
    "found",
    "ended_at",
    "ended_late_seconds",
    "found_then",
    "reason",
)
NOT_REACHED, BEGUN, ENDED, FAILED = "not reached", "begun", "ended", "failed"
#: A change begins within this time of its moment.
TOLERATED_LATE_S = 0.05
NAMED = 6


def read_timeline(content: object, scale: TimeScale) -> list[TimelineEntry]:
    """Return the entries in a device file's ``timeline`` as the experiment has them; damaged ones are left out."""
    found = []
    for entry in content if isinstance(content, list) else ():
        try:
            found.append(in_device_time(load(TimelineEntry, entry), scale))
        except FormError:
            continue
    return found


def build_events(
    planned: Iterable[TimelineEntry], happened: Iterable[TimelineEvent], zero: float | None
) -> list[dict[str, Any]]:
    """Return the rows in the order of the events' numbers; what is not known is None.

    Args:
        planned: the run's timeline.
        happened: what the journals of all lab hosts say.
        zero: from when times with ``_at`` count, in Unix seconds.
    """
    planned = list(planned)
    rows = {entry.number: _planned(entry) for entry in planned}
    for event in happened:
        if event.number is not None:
            row = rows.setdefault(event.number, _unplanned(event))
            _add(row, event, zero)
    # When a device would have been offline after the course is of no interest.
    later = {entry.number for entry in planned if entry.of_availability and rows[entry.number]["state"] == NOT_REACHED}
    return [rows[number] for number in sorted(rows) if number not in later]


def describe_events(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Return in one sentence how many events there were and what became of them; None without any."""
    if not rows:
        return None
    counts = {state: sum(row["state"] == state for row in rows) for state in (NOT_REACHED, FAILED)}
    line = f"events: {len(rows) - sum(counts.values())} of {len(rows)} took place"
    line += f", {counts[FAILED]} failed" if counts[FAILED] else ""
    late = [row["late_seconds"] for row in rows if row["late_seconds"] is not None]
    return line + (f", at most {max(late) * 1000:.0f} ms late" if late else "")


def describe_failed_events(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return which events failed, did not take place or were late, as sentences."""
    rows = list(rows)
    found = [f"Event {row['event']} ({row['what']}) failed: {row['reason']}." for row in rows if row["reason"]]
    missed = [str(row["event"]) for row in rows if row["state"] == NOT_REACHED]
    if missed:
        found.append(f"The course was over before the moment of {_numbered(missed)}.")
    late = [f"{row['event']} by {row['late_seconds']:.2f} s" for row in rows if _is_late(row)]
    if late:
        found.append(f"Events that began late: {_listed(late)}.")
    return found


def _is_late(row: Mapping[str, Any]) -> bool:
    return row["late_seconds"] is not None and row["late_seconds"] > TOLERATED_LATE_S


def _numbered(numbers: Sequence[str]) -> str:
    return f"event{'s' if len(numbers) > 1 else ''} {_listed(numbers)}"


def _listed(items: Sequence[str]) -> str:
    return ", ".join(items[:NAMED]) + (f" and {len(items) - NAMED} more" if len(items) > NAMED else "")


def _planned(entry: TimelineEntry) -> dict[str, Any]:
    return dict.fromkeys(COLUMNS) | {
        "event": entry.number,
        "of": "availability" if entry.of_availability else "events",
        "when": describe_time(entry),
        "devices": " ".join(entry.devices),
        "what": describe_change(entry),
        "duration_seconds": entry.duration_s,
        "state": NOT_REACHED,
    }


def _unplanned(event: TimelineEvent) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    return row | {"event": event.number, "devices": " ".join(event.devices), "what": event.what}


def _add(row: dict[str, Any], event: TimelineEvent, zero: float | None) -> None:
    """Add what an event says to its row; of several lab hosts the first to begin, the last to end, the latest."""
    moment = None if zero is None or event.t is None else round(event.t - zero, 3)
    due = None if zero is None or event.due is None else round(event.due - zero, 3)
    match event:
        case EventBegun():
            row["due_at"] = due if row["due_at"] is None else row["due_at"]
            row["began_at"] = moment if row["began_at"] is None else row["began_at"]
            row["late_seconds"] = _largest(row["late_seconds"], event.late_s)
            row["found"] = _joined(row["found"], event.found)
            row["state"] = row["state"] if row["state"] == FAILED else BEGUN
        case EventEnded():
            row["ended_at"] = _largest(row["ended_at"], moment)
            row["ended_late_seconds"] = _largest(row["ended_late_seconds"], event.late_s)
            row["found_then"] = _joined(row["found_then"], event.found)
            row["state"] = row["state"] if row["state"] == FAILED else ENDED
        case EventFailed():
            row["due_at"] = due if row["due_at"] is None else row["due_at"]
            row["reason"] = _joined(row["reason"], event.reason or "no reason given")
            row["state"] = FAILED


def _largest(one: float | None, other: float | None) -> float | None:
    return max((value for value in (one, other) if value is not None), default=None)


def _joined(one: str | None, other: str | None) -> str | None:
    return "; ".join(dict.fromkeys(text for text in (one, other) if text)) or None
