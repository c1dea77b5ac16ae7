"""How long a device at the other end of a link takes to answer, and from when on none ever will. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from .link import Link, Links
from .queue_size import buffer_bytes
from .routes import Route
from .time_scale import REAL_TIME, TimeScale

#: A server's kernel sends its answer to a new connection again 1, 3, 7, 15 and 31 s after the first time, and forgets
#: the connection 63 s after it (Linux' ``tcp_synack_retries``). The client's confirmation takes a round trip.
CONNECTS_WITHIN_S: Final = 60.0


def answer_s(route: Route, scale: TimeScale = REAL_TIME) -> int:
    """Return the seconds after which the answer to a packet is there at the latest, if none is lost; 0 below one.

    That is the delay both ways, with the largest jitter, and the time that full queues take to empty. Whole seconds, as
    participants get them: a device whose link changes a little is not made anew. Route and answer are in wall time;
    whether it is below a second, and which whole one it is, counts for the device.
    """
    longest = scale.to_device(sum(map(_longest_s, (*route.up, *route.down))))
    return 0 if longest < 1 else math.ceil(round(scale.to_wall(math.ceil(round(longest, 3))), 3))


def slowest(links: Iterable[Links]) -> Links:
    """Return what a device's link is at its slowest in each direction, of all that it may be during a course."""
    links = list(links)
    return Links(
        max((one.up for one in links), key=_longest_s),
        max((one.down for one in links), key=_longest_s),
    )


def round_trip_s(route: Route) -> float:
    """Return the round trip that the delays of a route's links make, in seconds."""
    return sum(link.delay_us for link in (*route.up, *route.down)) / 1e6


def _longest_s(link: Link) -> float:
    queued = 0.0 if link.rate_bps is None else buffer_bytes(link.rate_bps, link.queue) * 8 / link.rate_bps
    return link.longest_delay_us / 1e6 + queued
