"""Names of devices in a sentence."""

from __future__ import annotations

from collections.abc import Sequence


def join_names(names: Sequence[str], shown: int = 4) -> str:
    """The first names, and how many more there are."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")
