"""The rate: of the first second after the link was idle, and of one TCP flow."""

from __future__ import annotations

import time
from collections.abc import Iterator

from fedsim_runner.contract.queue_size import FRAME_BYTES, buffer_bytes

from .bench import FULL_BYTES, Bench
from .rows import Row

OPENING_S = 10.0  # in which a window opens over the longest round trip
EXCESS = 1.5  # the rate at which the first second's packets are sent, of the link's
FULL_PER_S = 6_000  # more than this, one process does not send


def measure(bench: Bench, way: str) -> Iterator[Row]:
    """What passes in the first second, then what one flow's receiver gets once its window is open."""
    link = bench.link(way)
    if link.rate_bps is None:
        return
    per_s = EXCESS * link.rate_bps / 8 / FRAME_BYTES
    if not link.loss and per_s <= FULL_PER_S:
        arrived = bench.train(way, round(1.2 * per_s), FULL_BYTES, 1 / per_s)
        got = sum(FRAME_BYTES for one in arrived if one.at_s < arrived[0].at_s + 1.0)
        asked = link.rate_bps / 8
        most = 0.02 * asked + FRAME_BYTES
        yield bench.row(way, "first second", "kB", asked / 1e3, got / 1e3, most / 1e3, one_sided=True)
    with bench.flow(way):
        time.sleep(OPENING_S)
        before, began = bench.received_bytes(way), time.monotonic()
        time.sleep(bench.seconds)
        rate = (bench.received_bytes(way) - before) * 8 / (time.monotonic() - began)
    round_trip_s = (bench.links.up.delay_us + bench.links.down.delay_us) / 1e6
    fills = link.loss == 0 and link.rate_bps / 8 * round_trip_s <= 2 * buffer_bytes(link.rate_bps)
    asked = link.rate_bps / 1e6
    limit = 0.02 * asked if fills else None
    yield bench.row(way, "rate of a TCP flow with its headers", "Mbit/s", asked, rate / 1e6, limit)
