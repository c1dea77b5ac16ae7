"""How long a participant waits where a link is slow; ``answer_s`` is that of :class:`LaunchSettings`."""

from __future__ import annotations

# A slow link may need hours for one model (100 MB over 2G: one); the supervisor finds a peer that has ended, and ends a
# course at course.timeout, of which this is the longest.
SEND_DEADLINE_S = 604_800.0
# How long a client waits for a server that does not listen yet, besides.
JOIN_DEADLINE_S = 300.0
# A connection takes a round trip for TCP and one for HTTP/2's settings; there is one more for what is lost.
ROUND_TRIPS = 3
# A server ends a connection whose other end has confirmed nothing for 20 s (TCP_USER_TIMEOUT), and one on which a ping
# stays without an answer for a minute, unless it sends no pings of its own. The pings for measuring a connection wait
# behind the message that is being sent: on 8 kbit/s longer than that.
WITHOUT_PINGS = [("grpc.keepalive_time_ms", 2**31 - 1)]


def connect_s(least_s: float, answer_s: float) -> float:
    """Return how long connecting may take: ``least_s``, and what the link needs."""
    return least_s + ROUND_TRIPS * answer_s


def connecting_options(least_s: float, answer_s: float) -> list[tuple[str, int]]:
    """Return a channel's options for its attempts to connect.

    The least time between two attempts is, for gRPC, also the time that each of them may take.
    """
    return [
        # Otherwise a channel takes over the connection of an earlier one to the same address, also one that was cut.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.min_reconnect_backoff_ms", round(1000 * connect_s(least_s, answer_s))),
        ("grpc.max_reconnect_backoff_ms", 2000),
    ]
