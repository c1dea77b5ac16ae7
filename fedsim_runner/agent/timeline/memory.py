"""What a restarted agent has to know of the timeline: which entries have begun and ended, and which are in force."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fedsim_runner.contract.atomic import replace
from fedsim_runner.contract.timeline import TimelineEntry

from .in_force import InForce


@dataclass
class Memory:
    """The state of a timeline.

    Attributes:
        due: when each entry that has begun was due, by number (Unix seconds).
        ended: numbers of those whose duration is over.
        in_force: what is in force.
        down: devices that were killed, or are started anew, and have not joined again.
    """

    due: dict[int, float] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    in_force: InForce = field(default_factory=InForce)
    down: set[str] = field(default_factory=set)

    def write(self, path: Path) -> None:
        """Write it.

        Raises:
            CannotWriteError: an agent that is restarted does not know the last changes.
        """
        content = {
            "due": self.due,
            "ended": sorted(self.ended),
            "in_force": self.in_force.as_data(),
            "down": sorted(self.down),
        }
        replace(path, json.dumps(content))

    @classmethod
    def read(cls, path: Path, timeline: Iterable[TimelineEntry]) -> Memory:
        """What an earlier agent has written; nothing if there was none."""
        entries: Sequence[TimelineEntry] = tuple(timeline)
        try:
            content = json.loads(path.read_text())
            return cls(
                {int(number): float(due) for number, due in content["due"].items()},
                set(content["ended"]),
                InForce.from_data(content["in_force"], entries),
                set(content["down"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return cls()
