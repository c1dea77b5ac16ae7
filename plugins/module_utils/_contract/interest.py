"""Which devices are shown where not all can be: those that explain why a round takes so long."""

from __future__ import annotations

#: States of a device, the most interesting first.
INTEREST = ("failed", "lost", "sending", "training", "receiving", "evaluating", "starting", "waiting")
_RANKS = {state: rank for rank, state in enumerate(INTEREST)}


def rank_interest(state: str, round_number: int) -> tuple[int, int]:
    """Sorts devices: by their states, and those first that are furthest behind."""
    return _RANKS.get(state, len(_RANKS)), round_number
