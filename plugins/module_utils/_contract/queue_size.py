"""The length of a link's queue. Pure."""

from __future__ import annotations

import math

from .link import Queue

FRAME_BYTES = 1514
BUFFER_S = 0.1  # room in a link's queue
MIN_BUFFER_FRAMES = 16  # the least room: a slow link must still take one burst of a window
SUPER_PACKET_BYTES = 65_536  # what a sender's kernel passes on as one packet
SUPER_PACKET_S = 0.004  # a link that takes longer for one gets its frames
UNLIMITED_BPS = 10_000_000_000  # for a link without a rate: only sizes its queue


def buffer_bytes(rate_bps: int, queue: Queue | None = None) -> int:
    """The most bytes that wait for a link's rate, with their Ethernet headers: 100 ms of it, at least 16 frames.

    This is the byte limit of the queue in every link back end, the packet in transmission included and packets that the
    link delays left out; so a full queue adds ``buffer_bytes(rate_bps) * 8 / rate_bps`` seconds to a round trip.

    Args:
        rate_bps: the link's rate in bit/s.
        queue: another room than this one; it has at least that of a frame.
    """
    if queue is not None and (queue.buffer_us is not None or queue.buffer_bytes is not None):
        in_time = 0 if queue.buffer_us is None else math.ceil(rate_bps / 8 * queue.buffer_us / 1e6)
        return max(in_time, queue.buffer_bytes or 0, FRAME_BYTES)
    return max(math.ceil(rate_bps / 8 * BUFFER_S), MIN_BUFFER_FRAMES * FRAME_BYTES)


def passes_super_packets(rate_bps: int | None) -> bool:
    """Whether a link is so fast that a super-packet may pass it whole."""
    return rate_bps is None or rate_bps / 8 * SUPER_PACKET_S >= SUPER_PACKET_BYTES
