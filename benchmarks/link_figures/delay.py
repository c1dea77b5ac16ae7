"""Delay and its deviation, for packets far apart and for full frames at half the rate."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from .bench import FULL_BYTES, HEADERS, Bench
from .rows import Row

PROBES = 250
PROBE_BYTES = 64
FULL_PER_S = 4_200  # full frames at most: half of 100 Mbit/s
INDEPENDENT_S = 0.02  # the least time between two probes


def measure(bench: Bench, way: str) -> Iterator[Row]:
    """Mean and deviation of probes, and the mean of a dense flow; each less what its own bytes take at the rate."""
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
    size = FULL_BYTES + HEADERS
    per_s = min(link.rate_bps / 2 / 8 / size, FULL_PER_S)
    dense = [1e3 * one.delay_s for one in bench.train(way, round(per_s * bench.seconds), FULL_BYTES, 1 / per_s)]
    yield bench.row(way, "delay, dense", "ms", asked, statistics.fmean(dense) - size * 8e3 / link.rate_bps, most)
    yield bench.row(way, "deviation, dense", "ms", deviation, statistics.stdev(dense))
