"""What the core of a module returns: what to do and why, or why there is nothing to do.

A core takes facts and the requested state, and touches nothing. Check mode lists its actions, a normal run carries them
out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences


@dataclass(frozen=True)
class Action:
    """One change: ``do`` names it within the module, ``name`` is the object to change."""

    do: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Actions:
    """Changes in order, and the differences that they remove."""

    todo: tuple[Action, ...]
    differences: Differences
    because: str = ""  # why there is nothing to do

    def carry_out(self, handlers: Mapping[str, Callable[[Action], None]]) -> None:
        """Carry them out; ``handlers`` are found by ``Action.do``."""
        for action in self.todo:
            handlers[action.do](action)


def actions(todo: Iterable[Action], differences: Differences) -> Actions:
    """Return changes that remove ``differences``."""
    return Actions(tuple(todo), differences)


def nothing(because: str) -> Actions:
    """Return no changes, and the reason."""
    return Actions((), Differences(), because)
