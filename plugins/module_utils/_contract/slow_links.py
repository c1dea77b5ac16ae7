"""How long a device at the other end of a link takes to answer, and from when on none ever will. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from .link import Link, Links
from .queue_size import buffer_bytes

#: A server's kernel sends its answer to a new connection again 1, 3, 7, 15 and 31 s after the first time, and forgets
#: the connection 63 s after it (Linux' ``tcp_synack_retries``). The client's confirmation takes a round trip.
CONNECTS_WITHIN_S: Final = 60.0


def answer_s(one: Links, other: Links) -> int:
    """Return the seconds after which the answer to a packet is there at the latest, if none is lost; 0 below one.

    That is the delay both ways, with the largest jitter, and the time that full queues take to empty. Whole seconds, as
    participants get them: a device whose link changes a little is not made anew.
    """
    longest = sum(map(_longest_s, (one.up, other.down, other.up, one.down)))
    return 0 if longest < 1 else math.ceil(round(longest, 3))


def longest_answer_s(ones: Iterable[Links], others: Iterable[Links]) -> int:
    """Return :func:`answer_s` of the slowest pair: the links of both may change during a course."""
    others = list(others)
    return max((answer_s(one, other) for one in ones for other in others), default=0)


def round_trip_s(one: Links, other: Links) -> float:
    """Return the round trip between two devices that the delays of their links make, in seconds."""
    return sum(link.delay_us for link in (one.up, other.down, other.up, one.down)) / 1e6


def _longest_s(link: Link) -> float:
    queued = 0.0 if link.rate_bps is None else buffer_bytes(link.rate_bps, link.queue) * 8 / link.rate_bps
    return link.longest_delay_us / 1e6 + queued
