"""Which moments of a course that entries wait for have come, by what the supervisor knows. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from fedsim_runner.contract.timeline import TimelineEntry

_AT_WORK = frozenset({"training", "evaluating"})


class Course(Protocol):
    """What is known of a course."""

    @property
    def round(self) -> int: ...
    @property
    def states(self) -> dict[str, str]: ...
    def live_state(self, device: str) -> str: ...
    def has_joined(self, device: str) -> bool: ...


def has_come(entry: TimelineEntry, course: Course) -> bool:
    """Whether the round or the state that an entry waits for has been reached; one at a time waits for neither."""
    if entry.round is not None:
        return course.round >= entry.round
    if entry.when is None or entry.when.device not in course.states:
        return False
    device, state = entry.when.device, course.states[entry.when.device]
    match entry.when.state:
        case "joined":
            return course.has_joined(device)
        case "training":
            return state in _AT_WORK or course.live_state(device) == "training"
        case "finished":
            return state in ("finished", "exited")
        case "lost":
            return state == "lost"


def read_for(entries: Iterable[TimelineEntry], server: str) -> set[str]:
    """The participants whose reports these entries wait for."""
    found: set[str] = set()
    for entry in entries:
        if entry.round is not None:
            found.add(server)
        if entry.when is not None:
            found |= {entry.when.device, server}  # the server reports who has joined
    return found
