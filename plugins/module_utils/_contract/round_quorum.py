"""How many updates are a round's quorum."""

from __future__ import annotations

import math


def quorum_size(quorum: float, asked: int) -> int:
    """Return how many updates are enough for a round that has asked so many clients; at most all, at least one.

    Args:
        quorum: from 1 on a count, below that a share of the clients asked, of which a part of one counts as one.
        asked: how many clients the round has asked.
    """
    # Shares are written with few digits, and 0.1 * 30 is above 3 in binary: the product is rounded first.
    wanted = int(quorum) if quorum >= 1 else math.ceil(round(quorum * asked, 9))
    return max(1, min(wanted, asked))
