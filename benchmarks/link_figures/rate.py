"""The rate: of the first second after the link was idle, of the time after it, and of one TCP flow."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

from fedsim_runner.contract.queue_size import FRAME_BYTES, buffer_bytes

from .bench import FULL_BYTES, Bench, in_user_mode
from .counters import acknowledged
from .rows import ABOVE, BELOW, Row

LEAST_S = 3.0
SEGMENT_BYTES = 1448  # of a frame's
OPENING_S = 10.0  # in which a window opens over the longest round trip
EXCESS = 1.5  # the rate at which packets are sent, of the link's
PAUSE_S = 0.05  # a longer one of the sender empties the queue, and the figure is not judged
FULL_PER_S = 12_500  # 150 Mbit/s of packets: beyond, a TCP flow alone tells
USER_MODE_BPS = 100_000_000  # what one processor of a user-mode kernel can be judged by


def measure(bench: Bench, way: str) -> Iterator[Row]:
    """What passes of too many packets, then what one flow's receiver gets once its window is open."""
    link = bench.link(way)
    if link.rate_bps is None:
        return
    per_s = EXCESS * link.rate_bps / 8 / FRAME_BYTES
    asked = link.rate_bps / 8e3
    if per_s <= FULL_PER_S:
        arrived = bench.train(way, round(max(LEAST_S, bench.seconds) * per_s), FULL_BYTES, 1 / per_s)
        first, last = arrived[0].at_s, arrived[-1].at_s
        sent = [one.at_s - one.delay_s for one in arrived]
        paused = max(after - before for before, after in itertools.pairwise(sent)) >= PAUSE_S + 8 / per_s
        slow = (arrived[-1].number - arrived[0].number) * FRAME_BYTES / (sent[-1] - sent[0]) < link.rate_bps / 8
        enough = not paused and not slow
        if not link.loss:
            got = sum(FRAME_BYTES for one in arrived if one.at_s < first + 1.0) / 1e3
            # Jitter may end the second with another delay than it began with.
            most = (0.02 + 2 * link.jitter_us / 1e6) * asked + FRAME_BYTES / 1e3
            yield bench.row(way, "first second", "kB", asked, got, most if enough else None, side=ABOVE)
        got = (len(arrived) - 1) * FRAME_BYTES / 1e3 / (last - first)
        figure = f"rate over {last - first:.0f} s" + (
            ", the sender was too slow" if slow else ", the sender paused" if paused else ""
        )
        yield bench.row(way, figure, "kB/s", asked, got, 0.02 * asked if enough else None)
    with bench.flow(way) as sender:
        time.sleep(OPENING_S)
        before, began = acknowledged(sender), time.monotonic()
        time.sleep(bench.seconds)
        rate = (acknowledged(sender) - before) * 8 / (time.monotonic() - began)
    links = (bench.links.up, bench.links.down)
    # Judged, too, where the delay swings by more than the queue holds, which one flow does not fill: with netem it got
    # 0.91 to 0.96 on 3g-medium, 3g-bad and 4g-bad down beside busy devices, in user space 0.91 on 3g-bad down.
    round_trip_s = sum(link.delay_us for link in links) / 1e6
    fills = link.loss == 0 and link.rate_bps / 8 * round_trip_s <= 2 * buffer_bytes(link.rate_bps, link.queue)
    fills = fills and (link.rate_bps <= USER_MODE_BPS or not in_user_mode())
    # More is no error here: as a lost segment arrives, up to a window is acknowledged at once.
    asked = link.rate_bps / 1e6 * SEGMENT_BYTES / FRAME_BYTES
    yield bench.row(way, "TCP (cubic)", "Mbit/s", asked, rate / 1e6, 0.02 * asked if fills else None, side=BELOW)
