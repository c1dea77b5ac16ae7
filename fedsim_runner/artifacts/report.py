"""report.json, rounds.csv and devices.csv of a run folder."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .devices import FIELDS, devices_of
from .files import JOURNAL, number, read_devices, read_journal, read_json
from .rounds import final_of, rounds_of

REPORT_VERSION = 1
# Status of a report that was written while the course goes on.
RUNNING = "running"


def write_report(
    run_dir: Path,
    *,
    status: str | None = None,
    reason: str | None = None,
    inventory_dir: Path | None = None,
    notes: Iterable[str] = (),
) -> dict[str, Any]:
    """Make rounds.csv, devices.csv and report.json from what lies in ``run_dir``, and return the report.

    Works on partial and failed runs: what is not known is null.

    Args:
        status: ``finished``, ``failed``, ``interrupted`` or ``running``; what the journal says if left out,
            where a course without an end counts as failed.
        reason: why it did not finish; what the journal says if left out.
        inventory_dir: folder with ``device_files/`` if it is not ``run_dir/inventory``.
        notes: what the reader should know, added to the plan's notes.

    Raises:
        OSError: the folder cannot be written.
    """
    events = read_journal(run_dir / JOURNAL)
    placed, common = read_devices(run_dir, inventory_dir)
    plan = read_json(run_dir / "plan.json")
    rounds = rounds_of(events)
    seen_status, seen_reason, seen_device = _outcome(events)
    devices = devices_of(run_dir, placed, events)
    final_status = status or seen_status
    report: dict[str, Any] = {
        "version": REPORT_VERSION,
        "run": common.get("run") or plan.get("run") or run_dir.name,
        "experiment": common.get("experiment") or plan.get("experiment"),
        "status": final_status,
        "reason": None if final_status in ("finished", RUNNING) else named(reason, seen_device) or seen_reason,
        "device": None if final_status in ("finished", RUNNING) else seen_device,
        "duration_s": _duration(events),
        "link_backend": _link_backend(events),
        "cpu_factor": common.get("cpu_factor") or plan.get("cpu_factor"),
        "total_rounds": (common.get("course") or {}).get("total_rounds"),
        "rounds": rounds,
        "final": {"test_acc": None, **final_of(events, rounds)},
        "devices": devices,
        "notes": [*map(str, plan.get("notes") or []), *_notes(events), *notes],
    }
    _write_csv(run_dir / "rounds.csv", _round_columns(rounds), rounds)
    rows = [{"device": name, **entry} for name, entry in devices.items()]
    _write_csv(run_dir / "devices.csv", ("device", *FIELDS), rows)
    text = json.dumps(report, indent=1, allow_nan=False) + "\n"
    (run_dir / "report.json").write_text(text, encoding="utf-8")
    return report


def named(reason: str | None, device: str | None) -> str | None:
    """A reason with the name of the device it is about in front, if it does not say the name itself."""
    return f"{device}: {reason}" if reason and device and device not in reason else reason


def _outcome(events: Sequence[dict[str, Any]]) -> tuple[str, str | None, str | None]:
    """Status, reason and the device to blame, as the journal has them."""
    for event in reversed(events):
        if event["event"] == "course_finished":
            return "finished", None, None
        if event["event"] == "course_failed":
            device = event.get("device")
            return "failed", named(str(event.get("reason") or "no reason given"), device), device
    if not events:
        return "failed", "the run ended before its journal began", None
    return "failed", "the journal ends before the course does", None


def _duration(events: Sequence[dict[str, Any]]) -> float | None:
    """Seconds from the opening of the gate to the end of the course."""
    began = next((number(event.get("t")) for event in events if event["event"] == "gate_opened"), None)
    ends = [number(event.get("t")) for event in events if event["event"] in ("course_finished", "course_failed")]
    ended = ends[-1] if ends else (number(events[-1].get("t")) if events else None)
    return None if began is None or ended is None else round(ended - began, 3)


def _link_backend(events: Sequence[dict[str, Any]]) -> str | None:
    found = [event.get("backend") for event in events if event["event"] == "agent_started"]
    return None if not found or found[-1] is None else str(found[-1])


def _notes(events: Sequence[dict[str, Any]]) -> list[str]:
    """What the journal has that a reader of the results must know."""
    found = [f"links were not shaped: {event.get('reason')}" for event in events if event["event"] == "links_unshaped"]
    restarted = sorted({str(event.get("device")) for event in events if event["event"] == "link_reapplied"})
    if restarted:
        found.append(f"containers that restarted during the run: {', '.join(restarted)}")
    return found


def _round_columns(rounds: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    results = {key for entry in rounds for key in entry} - {"round", "seconds", "test_acc", "test_loss"}
    return ("round", "seconds", "test_acc", "test_loss", *sorted(results))


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
