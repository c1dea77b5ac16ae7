"""The queue: the round trip while one TCP flow fills it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from fedsim_runner.contract.queue_size import buffer_bytes

from .bench import Bench
from .rows import ABOVE, QUEUE, Row

OPENING_S = 10.0
GAP_S = 0.02  # between probes
MARGIN_S = 0.010


def measure(bench: Bench, way: str) -> Iterator[Row]:
    """The delay of probes in the flow's direction; in the other nothing waits, so this is what a round trip gains."""
    link = bench.link(way)
    if link.rate_bps is None:
        return
    with bench.flow(way):
        time.sleep(OPENING_S)
        # Long enough for many of the flow's windows: over six seconds the median came out between 206 and 309 ms (3g).
        delays = sorted(one.delay_s for one in bench.train(way, round(bench.seconds / GAP_S), 20, GAP_S))
    longest = (link.delay_us + link.jitter_us) / 1e6 + buffer_bytes(link.rate_bps, link.queue) * 8 / link.rate_bps
    asked, got = 1e3 * longest, 1e3 * delays[-1]
    yield bench.row(way, "delay under a flow, longest", "ms", asked, got, 1e3 * MARGIN_S, side=ABOVE)
    yield bench.row(way, QUEUE, "ms", asked, 1e3 * delays[len(delays) // 2])
