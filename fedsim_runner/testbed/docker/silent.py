"""A listener for plays that nobody watches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Silent:
    """Takes everything and says nothing."""

    def stage(self, name: str) -> None:
        """A play begins."""

    def detail(self, text: str) -> None:
        """What a task says while it runs."""

    def event(self, event: Mapping[str, Any]) -> None:
        """An event of a run, of which there are none."""

    def snapshot(self, snapshot: Mapping[str, Any]) -> None:
        """A state of a course, of which there is none."""

    def cancelled(self) -> bool:
        """Whether to stop: an interruption ends the process."""
        return False
