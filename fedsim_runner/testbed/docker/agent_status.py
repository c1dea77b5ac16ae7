"""One status of a run, merged from what the agents and the Engines of all lab hosts report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Where agents differ, the state that comes first here counts for the run: a course is over as soon as one says so.
STATES = ("failed", "interrupted", "finished", "running", "loading", "provisioned")
COURSE = ("state", "round", "total_rounds", "reason", "device")


@dataclass(frozen=True)
class HostStatus:
    """What a lab host says of a run. ``answer``: its agent's; None: there is none, or it ``is_silent``."""

    devices: Mapping[str, Mapping[str, Any]]
    answer: Mapping[str, Any] | None = None
    is_silent: bool = False


def device_states(containers: Mapping[str, Mapping[str, Any]], lab_host: str) -> dict[str, dict[str, Any]]:
    """States of devices, from their containers on the Engine of a lab host."""
    return {
        name: {"state": item["State"], "exit_code": None, "lab_host": lab_host}
        for name, item in sorted(containers.items())
    }


def merge(
    seen: Mapping[str, Mapping[str, Any]], answers: Sequence[Mapping[str, Any]], is_silent: bool = False
) -> dict[str, Any]:
    """Merge them into one status.

    Args:
        seen: states of the containers of all lab hosts, by device.
        answers: the agents' answers.
        is_silent: an agent runs, but has not answered.
    """
    if not answers:
        state = "up, its agent does not answer" if is_silent else "up, without its agent"
        return {"state": state, "devices": dict(seen)}
    status: dict[str, Any] = dict.fromkeys(COURSE)
    # The most advanced answer is applied last, so it counts; the others fill in what it leaves open.
    for part in sorted(answers, key=_place, reverse=True):
        status.update({key: part[key] for key in COURSE if part.get(key) is not None})
    status["results"] = next((part["results"] for part in answers if part.get("results")), {})
    # In the agents' order, which begins with the server.
    devices = {
        name: {**seen.get(name, {}), **entry} for part in answers for name, entry in (part.get("devices") or {}).items()
    }
    status["devices"] = {**devices, **{name: entry for name, entry in seen.items() if name not in devices}}
    return status


def _place(part: Mapping[str, Any]) -> tuple[int, int]:
    state = part.get("state")
    return (STATES.index(state) if state in STATES else len(STATES), -(part.get("round") or 0))
