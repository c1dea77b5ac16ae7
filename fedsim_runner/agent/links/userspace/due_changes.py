"""Changes of links that the packet process carries out itself when they are due. Pure: it is given times.

The agent sends them ahead of time, in parts (one command each), so that it does not matter when the agent itself gets
to run. What a command changes counts from its moment on, unless a command that was sent after it has changed the same
before: whoever sent that one knew of the first.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: What a change names: ``ups`` and an address, ``devices`` and a name, or ``groups`` and nothing.
Key = tuple[str, str]


@dataclass
class Outcome:
    """What has become of the parts of one change.

    Attributes:
        late_s: by how much the last of them was late.
        ups, devices: what was changed, with what is in force since.
        groups: whether these were changed.
        failed: reasons by device.
    """

    late_s: float = 0.0
    ups: dict[str, Any] = field(default_factory=dict)
    devices: dict[str, Any] = field(default_factory=dict)
    groups: bool = False
    failed: dict[str, str] = field(default_factory=dict)


class DueChanges:
    """Commands that wait for their time, in its order, and what has become of those that were carried out."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, dict[str, Any]]] = []
        self._sent = 0
        self._changed: dict[Key, int] = {}  # the last command, in the order of sending, that has changed each
        self._outcomes: dict[int, Outcome] = {}

    @property
    def next_s(self) -> float | None:
        """When the next command is due; None: none waits."""
        return self._waiting[0][0] if self._waiting else None

    def hold(self, command: dict[str, Any]) -> None:
        """Keep a command until its time, ``at``; it is a part of the change ``number``."""
        self._sent += 1
        self._outcomes.setdefault(command["number"], Outcome())
        heapq.heappush(self._waiting, (command["at"], self._sent, command))

    def take(self, now_s: float) -> dict[str, Any] | None:
        """The next command that is due, without what a later one has already changed."""
        if not self._waiting or self._waiting[0][0] > now_s:
            return None
        return self._count(*heapq.heappop(self._waiting)[1:])

    def take_of(self, number: int) -> dict[str, Any] | None:
        """The next part of this change, whether it is due or not."""
        mine = [one for one in self._waiting if one[2]["number"] == number]
        if not mine:
            return None
        self._waiting.remove(min(mine))
        heapq.heapify(self._waiting)
        return self._count(*min(mine)[1:])

    def note(self, keys: Iterable[Key]) -> None:
        """These were changed by a command that did not wait."""
        self._sent += 1
        self._changed |= dict.fromkeys(keys, self._sent)

    def outcome(self, number: int) -> Outcome:
        """That of a change, to be filled in."""
        return self._outcomes.setdefault(number, Outcome())

    def pop(self, number: int) -> Outcome:
        """That of a change of which nobody asks again."""
        return self._outcomes.pop(number, Outcome())

    def _count(self, sent: int, command: Mapping[str, Any]) -> dict[str, Any]:
        def still(kind: str) -> dict[str, Any]:
            values = command[kind].items()
            return {name: value for name, value in values if self._changed.get((kind, name), 0) < sent}

        taken = {**command, "ups": still("ups"), "devices": still("devices")}
        if "groups" in command and self._changed.get(("groups", ""), 0) >= sent:
            del taken["groups"]
        self._changed |= dict.fromkeys(keys_of(taken), sent)
        return taken


def keys_of(command: Mapping[str, Any]) -> list[Key]:
    """What a command changes."""
    named = [(kind, name) for kind in ("ups", "devices") for name in command.get(kind, ())]
    return [*named, ("groups", "")] if "groups" in command else named
