"""Something wrong with an entry, as a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """Something wrong at ``path`` below the entry, and how to fix it."""

    path: tuple[str, ...]
    message: str
    hint: str | None = None
