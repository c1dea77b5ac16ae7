"""The length of a link's queue. Pure."""

from __future__ import annotations

import math

FRAME_BYTES = 1514
BUFFER_S = 0.1  # room in a link's queue beyond the bytes in flight
MIN_BUFFER_FRAMES = 16  # the least room: a slow link must still take one burst of a window
UNLIMITED_BPS = 10_000_000_000  # for a link without a rate: only sizes its queue


def buffer_bytes(rate_bps: int) -> int:
    """The room in a link's queue beyond rate x delay: 100 ms of its rate, at least 16 frames."""
    return max(math.ceil(rate_bps / 8 * BUFFER_S), MIN_BUFFER_FRAMES * FRAME_BYTES)
