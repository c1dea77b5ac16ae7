"""What a link does besides rate, delay and independent losses, measured on a real kernel.

The same tests run on this machine's kernel and in a user-mode Linux kernel, as those of test_links.py do.
"""

from __future__ import annotations

import statistics
from typing import Any

import pytest

from fedsim_runner.contract.link import Link, Queue
from tests.lab.rig import MBIT, apply, rig, shaped

UP_AND_DOWN = pytest.mark.parametrize("way", ["up", "down"])


@UP_AND_DOWN
@pytest.mark.parametrize("queue", [Queue(buffer_us=300_000), Queue(buffer_bytes=15_000)], ids=["time", "bytes"])
def test_a_flow_faster_than_the_rate_waits_as_long_as_the_queue_has_room(
    queue: Queue, way: str, backend: str, probed: dict[str, Any]
) -> None:
    link = Link(4 * MBIT, 20_000, queue=queue)
    room_s = 0.3 if queue.buffer_us else 0.03
    with rig("a", "b") as lab:
        source, target = ("a", "b") if way == "up" else ("b", "a")
        links = lab.links(link, None) if way == "up" else lab.links(None, link)
        with shaped(lab, links, backend, probed) as shaper:
            apply(shaper, lab)
            delays = lab.dense_s(source, target, 600, 1200, 8 * MBIT)
            assert len(delays) < 600, "what exceeds rate and queue is dropped"
            # The median: the machine's other work may hold up some.
            full = statistics.median(delays[-150:])
            assert 0.020 + 0.8 * room_s < full <= 0.020 + room_s + 0.010
