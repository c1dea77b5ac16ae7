"""What the agents and the Engines of all lab hosts say of one run, as one answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Of agents that differ the one with the lowest place here speaks for the run: a course is over where one says so.
STATES = ("failed", "interrupted", "finished", "running", "provisioned")
COURSE = ("state", "round", "total_rounds", "reason", "device")


def device_states(containers: Mapping[str, Mapping[str, Any]], lab_host: str) -> dict[str, dict[str, Any]]:
    """Devices by what the Engine of a lab host says of their containers."""
    return {
        name: {"state": item["State"], "exit_code": None, "lab_host": lab_host}
        for name, item in sorted(containers.items())
    }


def merge(seen: Mapping[str, Mapping[str, Any]], told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One answer.

    Args:
        seen: devices by their containers, of all lab hosts.
        told: what agents answered.
    """
    if not told:
        return {"state": "up, without its agent", "devices": dict(seen)}
    answer: dict[str, Any] = dict.fromkeys(COURSE)
    # Last comes, and thus counts, the one that says most: what it leaves open the others fill.
    for part in sorted(told, key=_place, reverse=True):
        answer.update({key: part[key] for key in COURSE if part.get(key) is not None})
    answer["results"] = next((part["results"] for part in told if part.get("results")), {})
    # In the agents' order, which begins with the server.
    devices = {
        name: {**seen.get(name, {}), **entry} for part in told for name, entry in (part.get("devices") or {}).items()
    }
    answer["devices"] = {**devices, **{name: entry for name, entry in seen.items() if name not in devices}}
    return answer


def _place(part: Mapping[str, Any]) -> tuple[int, int]:
    state = part.get("state")
    return (STATES.index(state) if state in STATES else len(STATES), -(part.get("round") or 0))
