"""What a link does besides rate, delay and independent losses, measured on a real kernel.

The same tests run on this machine's kernel and in a user-mode Linux kernel, as those of test_links.py do.
"""

from __future__ import annotations

import statistics
from typing import Any

import pytest

from fedsim_runner.contract.jitter_distribution import DistributionName
from fedsim_runner.contract.link import Link, Queue
from tests.lab.rig import MBIT, SLACK_S, apply, rig, shaped

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


# Both distributions are wider than a uniform one with the same jitter.
@pytest.mark.parametrize(("name", "table"), [("normal", ()), ("table", (0, 0, 0, 4 * 8192))], ids=["normal", "table"])
def test_a_delay_has_the_distribution_asked_for(
    name: DistributionName, table: tuple[int, ...], backend: str, probed: dict[str, Any]
) -> None:
    link = Link(None, 50_000, 5_000, jitter_distribution=name, jitter_table=table)
    with rig("a", "b") as lab, shaped(lab, lab.links(link), backend, probed) as shaper:
        apply(shaper, lab)
        delays = lab.dense_s("a", "b", 4000, 64, 500 * (64 + 42) * 8)
        assert len(delays) == 4000
        # What the machine's other work has held up says nothing of the link.
        longest = link.longest_delay_us / 1e6 + SLACK_S
        in_time = [delay for delay in delays if delay <= longest]
        assert len(in_time) > 0.8 * len(delays)
        # 80 independent values in 8 s, if there is a new one every 100 ms: five deviations of mean and deviation.
        asked = link.delay_moments
        assert statistics.fmean(in_time) == pytest.approx(link.mean_delay_us / 1e6, abs=0.56 * asked.deviation * 0.005)
        assert statistics.stdev(in_time) == pytest.approx(asked.deviation * 0.005, rel=0.4)
        assert min(delays) >= (link.delay_us + link.distribution.least * link.jitter_us) / 1e6 - 0.0005
