"""What the core of a module returns: what to do and why, or why there is nothing to do.

A core takes facts and what is wanted, and touches nothing. In check mode its actions are told, else carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences


@dataclass(frozen=True)
class Action:
    """One change: ``do`` is a word of the module's own, ``name`` what it is done to."""

    do: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Actions:
    """Changes in their order, and the differences that they are for."""

    todo: tuple[Action, ...]
    differences: Differences
    because: str = ""  # why there is nothing to do

    def carry_out(self, doers: Mapping[str, Callable[[Action], None]]) -> None:
        """Do them; ``doers`` by the word of the action."""
        for action in self.todo:
            doers[action.do](action)


def actions(todo: Iterable[Action], differences: Differences) -> Actions:
    """What to do to remove ``differences``."""
    return Actions(tuple(todo), differences)


def nothing(because: str) -> Actions:
    """Nothing to do, and why."""
    return Actions((), Differences(), because)
