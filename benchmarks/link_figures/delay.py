"""Delay and its deviation, for packets far apart and for full frames at half the rate."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from .bench import FULL_BYTES, HEADERS, Arrival, Bench
from .rows import Row

PROBES = 250
PROBE_BYTES = 64
FULL_PER_S = 4_200  # full frames at most: half of 100 Mbit/s
INDEPENDENT_S = 0.02  # the least time between two probes


def measure(bench: Bench, way: str) -> Iterator[Row]:
    """Mean and deviation of probes, and of a dense flow; each less what its bytes take at the rate, and what it waits
    for those before it.
    """
    link = bench.link(way)
    asked = link.delay_us / 1e3
    most = max(1.0, 0.02 * asked)
    gap_s = max(INDEPENDENT_S, 6 * link.jitter_us / 1e6)
    delays = [1e3 * one.delay_s for one in bench.train(way, PROBES, PROBE_BYTES, gap_s)]
    own = (PROBE_BYTES + HEADERS) * 8e3 / link.rate_bps if link.rate_bps else 0.0
    yield bench.row(way, "delay, sparse", "ms", asked, statistics.fmean(delays) - own, most)
    deviation = link.jitter_us / 1e3 / 3**0.5
    limit = 0.15 * deviation if deviation else None
    yield bench.row(way, "deviation, sparse", "ms", deviation, statistics.stdev(delays), limit)
    if link.rate_bps is None:
        return
    frame_s = (FULL_BYTES + HEADERS) * 8 / link.rate_bps
    per_s = min(0.5 / frame_s, FULL_PER_S)
    arrived = bench.train(way, round(per_s * bench.seconds), FULL_BYTES, 1 / per_s)
    dense = [1e3 * (one.delay_s - queued_s) for one, queued_s in zip(arrived, in_queue(arrived, frame_s), strict=True)]
    yield bench.row(way, "delay, dense", "ms", asked, statistics.fmean(dense), most)
    yield bench.row(way, "deviation, dense", "ms", deviation, statistics.stdev(dense))


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
