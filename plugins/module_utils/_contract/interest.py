"""Which devices to show where there is no room for all: those that explain why a round takes so long."""

from __future__ import annotations

#: States of a device, most interesting first.
INTEREST = (
    "failed", "lost", "sending", "training", "receiving", "evaluating", "joining", "loading", "starting", "waiting",
)  # fmt: skip
_RANKS = {state: rank for rank, state in enumerate(INTEREST)}


def rank_interest(state: str, round_number: int) -> tuple[int, int]:
    """Return a sort key for devices: by state, and within a state those that are furthest behind first."""
    return _RANKS.get(state, len(_RANKS)), round_number
