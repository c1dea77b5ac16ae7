"""What shows that a participant works: the steps that it records in ``activity.jsonl``, and its processor. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

#: What a step of work begins with, by what it ends with.
BEGIN_OF: Final = {"trained": "train", "evaluated": "evaluate", "aggregated": "aggregate"}


def waits_idle(engine: str, patches_off: Collection[str]) -> bool:
    """Whether a participant uses next to no processor time while it waits for a message.

    FederatedScope's without the patch ``busy_wait`` uses all that it may.

    Args:
        engine: the participant's.
        patches_off: the patches that are not applied to FederatedScope.
    """
    return engine != "federatedscope" or "busy_wait" not in patches_off
