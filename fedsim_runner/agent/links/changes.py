"""Settings that shape links, and what becomes of changing them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Settings = Mapping[str, object]  # settings that shape one device's link: item -> value; str(value) is for people
Changes = Mapping[str, tuple[object, object]]  # item -> its value before, and the one that it is to have
Failures = dict[str, str]  # device -> reason


@dataclass(frozen=True)
class Changed:
    """What has become of a change.

    Attributes:
        found: what was then found of each device, also what is only for people.
        failed: failures by device.
        late_s: by how much it was late.
        look: looks at what there is now, which takes longer than the change, and returns the same with what it has
            found; None: that has been done.
    """

    found: Mapping[str, Settings]
    failed: Failures
    late_s: float = 0.0
    look: Callable[[], Changed] | None = None

    def looked_at(self) -> Changed:
        """It with what is found.

        Raises:
            OSError, CommandError: the run's namespace is gone.
        """
        return self if self.look is None else self.look()


#: Makes a change whose time has come, unless somebody else does; returns what has become of it.
Finish = Callable[[], Changed]
#: While it is entered, a change may be made, of what it gives: a later one has made the rest before (shaping/turns.py).
Turn = Callable[[], contextlib.AbstractContextManager[Mapping[str, Changes]]]


def wanted(change: Changes) -> Settings:
    """What settings are to be after a change."""
    return {item: after for item, (_, after) in change.items()}


def with_made_later(
    found: Mapping[str, Settings], changes: Mapping[str, Changes], left: Mapping[str, Changes]
) -> dict[str, Settings]:
    """What was found after a change, and in place of what a later one had made before: as it was to be."""
    later = {
        name: {item: pair for item, pair in change.items() if item not in left.get(name, {})}
        for name, change in changes.items()
    }
    return {name: {**found.get(name, {}), **wanted(change)} for name, change in later.items()}


def wait_until(due_s: float) -> None:
    """Sleep until this time of the monotonic clock."""
    time.sleep(max(0.0, due_s - time.monotonic()))
