"""Loss: its share, what a drop costs a TCP flow, and small packets where nothing may be lost."""

from __future__ import annotations

import time
from collections.abc import Iterator

from .bench import HEADERS, Bench
from .counters import drops, retransmits
from .rows import Row

PACKETS = 10_000
SMALL_BYTES = 64  # a frame's
SMALL_PER_S = 20_000
PER_S = 4_000  # of packets of which some are lost
QUANTILE = 3.29  # of 99.9 %
LEAST_SENT = 0.9  # of the packets in a second, or the figure is not judged


def measure(bench: Bench, way: str) -> Iterator[Row]:
    """The share of packets lost, or the small packets lost; and retransmits for each drop."""
    link = bench.link(way)
    if not link.loss:
        yield _small_packets(bench, way)
        return
    per_s = min(PER_S, (link.rate_bps or 1e9) / 2 / 8 / (200 + HEADERS))
    lost = PACKETS - len(bench.train(way, PACKETS, 200, 1 / per_s))
    most = QUANTILE * (link.loss * (1 - link.loss) / PACKETS) ** 0.5
    yield bench.row(way, "loss", "", link.loss, lost / PACKETS, most)
    before = drops(bench, way)
    with bench.flow(way) as sender:
        time.sleep(2 * bench.seconds)
        repeated, dropped = retransmits(sender), drops(bench, way) - before
    limit = 0.1 if dropped >= 50 else None
    yield bench.row(way, f"retransmits per drop, {dropped} drops", "", 1.0, repeated / max(1, dropped), limit)


def _small_packets(bench: Bench, way: str) -> Row:
    half = (bench.link(way).rate_bps or 10_000_000_000) / 2 / 8 / SMALL_BYTES
    per_s = min(half, SMALL_PER_S)
    count = round(per_s * bench.seconds)
    arrived = bench.train(way, count, SMALL_BYTES - HEADERS, 1 / per_s)
    first, last = arrived[0], arrived[-1]
    sent_s = (last.at_s - last.delay_s) - (first.at_s - first.delay_s)
    # A receiver waits only so long for a sender that needs more time than it has.
    slow = last.number - first.number < LEAST_SENT * per_s * sent_s
    figure = f"64-byte packets lost at {per_s:.0f}/s" + (", the sender was too slow" if slow else "")
    return bench.row(way, figure, "", 0, count - len(arrived), None if slow else 0)
