"""What went otherwise than planned, from the journal: lost clients, late updates, deadlines, links."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..run_files import number, whole


def lost_clients(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Clients that were given up while the course went on: ``device``, ``reason``, ``oom_killed``, ``t`` (unix s)."""
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        name = event.get("device")
        if event["event"] == "client_lost" and isinstance(name, str):
            reason = event.get("reason")
            entry = {
                "device": name,
                "reason": None if reason is None else str(reason),
                "oom_killed": bool(event.get("oom_killed")),
                "t": number(event.get("t")),
            }
            found.setdefault(name, entry)
    return list(found.values())


def late_updates(events: Sequence[dict[str, Any]]) -> dict[str, int]:
    """How many updates of each device came too late: after the deadline, or stale in an asynchronous course."""
    return Counter(str(event["device"]) for event in events if event["event"] == "update_late" and "device" in event)


def notes_of(events: Sequence[dict[str, Any]]) -> list[str]:
    """What the journal has that a reader of the results must know."""
    found = [f"links were not shaped: {event.get('reason')}" for event in events if event["event"] == "links_unshaped"]
    restarted = sorted({str(event.get("device")) for event in events if event["event"] == "link_reapplied"})
    if restarted:
        found.append(f"containers that restarted during the run: {', '.join(restarted)}")
    deadlines = [event for event in events if event["event"] == "round_deadline"]
    if deadlines:
        missing = sum((whole(event.get("wanted")) or 0) - (whole(event.get("arrived")) or 0) for event in deadlines)
        count = len(deadlines)
        found.append(
            f"{count} round{'s were' if count > 1 else ' was'} aggregated at the deadline, "
            f"without {missing} update{'s' if missing != 1 else ''} that had not come"
        )
    return found
