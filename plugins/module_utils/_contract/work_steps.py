"""The steps of work that a participant records in ``activity.jsonl``. Pure."""

from __future__ import annotations

from typing import Final

#: What a step of work begins with, by what it ends with.
BEGIN_OF: Final = {"trained": "train", "evaluated": "evaluate", "aggregated": "aggregate"}
