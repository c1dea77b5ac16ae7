"""Delay and its deviation, for packets far apart and for full frames at half the rate.

The mean of a link with much jitter is known only after minutes: 250 values that deviate by 18 ms leave 1.2 ms to
chance. It is judged if what chance leaves is a third of its limit.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

from fedsim_runner.agent.links.netem.moving_delays import INTERVAL
from fedsim_runner.contract.link import Link

from .bench import FULL_BYTES, HEADERS, Arrival, Bench
from .rows import Row

PROBES = 250
PROBE_BYTES = 64
FULL_PER_S = 4_200  # full frames at most: half of 100 Mbit/s
INDEPENDENT_S = 0.02  # the least time between two probes
LEAST_S = 5.0
SURE = 3  # standard errors of a mean that its limit is worth


def measure(bench: Bench, way: str) -> Iterator[Row]:
    """Mean and deviation of probes, and of a dense flow; each less what its bytes take at the rate, and what it waits
    for those before it.
    """
    link = bench.link(way)
    asked = link.mean_delay_us / 1e3
    most = max(1.0, 0.02 * asked)
    deviation = link.delay_moments.deviation * link.jitter_us / 1e3 if link.jitter_us else 0.0
    enough = math.ceil((SURE * deviation / most) ** 2)  # values
    gap_s = max(INDEPENDENT_S, independent_s(link))
    count = max(PROBES, min(enough, round(bench.seconds / gap_s)))
    delays = [1e3 * one.delay_s for one in bench.train(way, count, PROBE_BYTES, gap_s)]
    own = (PROBE_BYTES + HEADERS) * 8e3 / link.rate_bps if link.rate_bps else 0.0
    mean, judged = ("delay, sparse", most) if count >= enough else (f"delay, sparse, only {count} values", None)
    yield bench.row(way, mean, "ms", asked, statistics.fmean(delays) - own, judged)
    limit = 0.15 * deviation if deviation else None
    yield bench.row(way, "deviation, sparse", "ms", deviation, statistics.stdev(delays), limit)
    if link.rate_bps is None:
        return
    frame_s = (FULL_BYTES + HEADERS) * 8 / link.rate_bps
    per_s = min(0.5 / frame_s, FULL_PER_S)
    enough_s = enough * independent_s(link)
    seconds = max(LEAST_S, min(bench.seconds, enough_s))
    arrived = bench.train(way, round(per_s * seconds), FULL_BYTES, 1 / per_s)
    dense = [1e3 * (one.delay_s - queued_s) for one, queued_s in zip(arrived, in_queue(arrived, frame_s), strict=True)]
    mean, judged = ("delay, dense", most) if seconds >= enough_s else (f"delay, dense, only {seconds:g} s", None)
    yield bench.row(way, mean, "ms", asked, statistics.fmean(dense), judged)
    yield bench.row(way, "deviation, dense", "ms", deviation, statistics.stdev(dense))


def independent_s(link: Link) -> float:
    """Seconds from one value of a link's delay to another that is as good as independent of it.

    With netem it is, as the delay is drawn anew so often; in user space their correlation is 0.08.
    """
    return INTERVAL * link.distribution.spacing * link.jitter_us / 1e6


def in_queue(packets: Sequence[Arrival], frame_s: float) -> list[float]:
    """Return the seconds that each packet takes at a rate at which one takes ``frame_s``, from when it was sent.

    A sender that is held up by busy devices sends several at once, and each of them waits for those before it: that
    is not the link's delay. Packets that were lost do not count.
    """
    free_at, taken = 0.0, {}
    for one in sorted(packets, key=lambda one: one.number):
        sent_s = one.at_s - one.delay_s
        free_at = max(free_at, sent_s) + frame_s
        taken[one.number] = free_at - sent_s
    return [taken[one.number] for one in packets]
