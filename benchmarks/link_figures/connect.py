"""Connections, each of which is the first of its kind: nothing of an earlier one is remembered.

Twenty of them say what a link without much jitter does. As with the mean of a delay, the median is judged if what
chance leaves is a third of its limit.
"""

from __future__ import annotations

import math
import socket
import statistics
import time
from collections.abc import Iterator

from fedsim_runner.agent.kernel import netns

from .bench import PORT, Bench
from .children import before_others
from .delay import SURE, independent_s
from .rows import ABOVE, Row

COUNT = 20
OF_MEDIAN = math.sqrt(math.pi / 2)  # standard errors of a mean that one of a median is, of normal values
SYN_BYTES = 74
MARGIN_MS = 5.0


def measure(bench: Bench, way: str) -> Iterator[Row]:
    """The time that connecting takes; only upwards, as a client connects to the server."""
    if way != "up":
        return
    links = (bench.links.up, bench.links.down)
    asked = sum(link.delay_us / 1e3 + (SYN_BYTES * 8e3 / link.rate_bps if link.rate_bps else 0) for link in links)
    most = MARGIN_MS + sum(0.02 * link.delay_us / 1e3 for link in links if link.jitter_us)
    deviation = math.hypot(*(link.delay_moments.deviation * link.jitter_us / 1e3 for link in links if link.jitter_us))
    enough = math.ceil((SURE * OF_MEDIAN * deviation / most) ** 2)  # values
    gap_s = max(independent_s(link) for link in links)
    count = max(COUNT, min(enough, round(bench.seconds / gap_s))) if gap_s else COUNT
    took = statistics.median(1e3 * seconds for seconds in _connect(bench, way, count, gap_s))
    figure, judged = (f"median of {count}", most) if count >= enough else (f"only {count}", None)
    yield bench.row("up", f"cold connect, {figure}", "ms", asked, took, judged, side=ABOVE)


def _connect(bench: Bench, way: str, count: int, gap_s: float) -> Iterator[float]:
    """Yield the seconds that each of so many connections takes; they begin so long after one another at least."""
    source, target = bench.ends(way)
    with netns.inside(bench.lab.namespaces[target]):
        listener = socket.create_server((bench.lab.addresses[target], PORT + 1), backlog=count)
    with listener, before_others():
        for _ in range(count):
            with netns.inside(bench.lab.namespaces[source]):
                connecting = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            began = time.monotonic()
            with connecting:
                connecting.connect((bench.lab.addresses[target], PORT + 1))
                took = time.monotonic() - began
            yield took
            time.sleep(max(0.0, gap_s - took))
