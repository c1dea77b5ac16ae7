"""How long a link's queue is. Pure."""

from __future__ import annotations

import math

FRAME_BYTES = 1514
BUFFER_S = 0.1  # what a link's queue holds beyond the bytes in flight
MIN_BUFFER_FRAMES = 16  # ... but never less: a slow link must still take one burst of a window
UNLIMITED_BPS = 10_000_000_000  # a link without a rate: only its queue is sized by this


def buffer_bytes(rate_bps: int) -> int:
    """What the queue of a link holds beyond rate x delay: 100 ms of its rate, at least 16 frames."""
    return max(math.ceil(rate_bps / 8 * BUFFER_S), MIN_BUFFER_FRAMES * FRAME_BYTES)
