"""How long a participant waits where a link is slow; ``answer_s`` is that of :class:`LaunchSettings`.

What is written here, and in the modules that use it, is device time: in a dilated run as much longer by the clock as
all else takes. ``answer_s`` is wall time, as the links are.
"""

from __future__ import annotations

from fedsim_runner.contract.time_scale import REAL_TIME, TimeScale

# A slow link may need hours for one model (100 MB over 2G: one); the supervisor finds a peer that has ended, and ends a
# course at course.timeout, of which this is the longest.
SEND_DEADLINE_S = 604_800.0
# How long a client waits for a server that does not listen yet, besides.
JOIN_DEADLINE_S = 300.0
# Between two attempts to connect.
LEAST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 2.0
# A connection takes a round trip for TCP and one for HTTP/2's settings; there is one more for what is lost.
ROUND_TRIPS = 3
# A server ends a connection whose other end has confirmed nothing for 20 s (TCP_USER_TIMEOUT), and one on which a ping
# stays without an answer for a minute, unless it sends no pings of its own. The pings for measuring a connection wait
# behind the message that is being sent: on 8 kbit/s longer than that.
WITHOUT_PINGS = [("grpc.keepalive_time_ms", 2**31 - 1)]


def connect_s(least_s: float, answer_s: float, scale: TimeScale = REAL_TIME) -> float:
    """Return how long connecting may take in wall time: ``least_s``, and what the link needs."""
    return scale.to_wall(least_s) + ROUND_TRIPS * answer_s


def connecting_options(least_s: float, answer_s: float, scale: TimeScale = REAL_TIME) -> list[tuple[str, int]]:
    """Return a channel's options for its attempts to connect.

    The least time between two attempts is, for gRPC, also the time that each of them may take.
    """
    return [
        # Otherwise a channel takes over the connection of an earlier one to the same address, also one that was cut.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", _in_ms(scale.to_wall(LEAST_PAUSE_S))),
        ("grpc.min_reconnect_backoff_ms", _in_ms(connect_s(least_s, answer_s, scale))),
        ("grpc.max_reconnect_backoff_ms", _in_ms(scale.to_wall(LONGEST_PAUSE_S))),
    ]


def _in_ms(seconds: float) -> int:
    """As gRPC takes it: a number of 32 bits."""
    return min(round(1000 * seconds), 2**31 - 1)
