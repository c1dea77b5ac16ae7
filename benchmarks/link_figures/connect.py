"""Connections, each of which is the first of its kind: nothing of an earlier one is remembered."""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Iterator

from fedsim_runner.agent.kernel import netns

from .bench import PORT, Bench
from .children import before_others
from .rows import ABOVE, Row

COUNT = 20
SYN_BYTES = 74
MARGIN_MS = 5.0


def measure(bench: Bench, way: str) -> Iterator[Row]:
    """The time that connecting takes; only upwards, as a client connects to the server."""
    if way != "up":
        return
    source, target = bench.ends(way)
    with netns.inside(bench.lab.namespaces[target]):
        listener = socket.create_server((bench.lab.addresses[target], PORT + 1), backlog=COUNT)
    took = []
    with listener, before_others():
        for _ in range(COUNT):
            with netns.inside(bench.lab.namespaces[source]):
                connecting = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            began = time.monotonic()
            with connecting:
                connecting.connect((bench.lab.addresses[target], PORT + 1))
                took.append(1e3 * (time.monotonic() - began))
    links = (bench.links.up, bench.links.down)
    asked = sum(link.delay_us / 1e3 + (SYN_BYTES * 8e3 / link.rate_bps if link.rate_bps else 0) for link in links)
    most = MARGIN_MS + sum(0.02 * link.delay_us / 1e3 for link in links if link.jitter_us)
    yield bench.row("up", "cold connect, median of 20", "ms", asked, statistics.median(took), most, side=ABOVE)
