"""A link in numbers: when packets arrive that a schedule sends over it. No clock, no packets."""

from __future__ import annotations

import random
from collections.abc import Sequence

from fedsim_runner.agent.measuring.estimate import Seen
from fedsim_runner.agent.measuring.schedule import HEADER_BYTES, PROBE_BYTES, Flow
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.queue_size import buffer_bytes


class SimulatedLink:
    """Drops, then queues for its rate behind a token bucket, then delays in order.

    Args:
        link: what it does.
        seed: of what it draws.
        noise_s: by how much an arrival is noticed late at most.
        bucket: of bytes that pass at once.
    """

    def __init__(self, link: Link, seed: int, noise_s: float = 0.0, bucket: int = 0) -> None:
        self._link = link
        self._draw = random.Random(seed)
        self._noise_s = noise_s
        self._bucket = bucket
        self._free_s = -1e9
        self._last_s = 0.0
        self._quantile = link.distribution.quantile
        self._is_bad = False

    def _is_lost(self) -> bool:
        bursts = self._link.bursts
        if bursts is None:
            return self._draw.random() < self._link.loss
        loss, leaves = (bursts.bad_loss, bursts.r) if self._is_bad else (bursts.good_loss, bursts.p)
        self._is_bad ^= self._draw.random() < leaves
        return self._draw.random() < loss

    def arrival_s(self, at: float, size: int) -> float | None:
        link = self._link
        if self._is_lost():
            return None
        corrupt = bool(link.corrupt) and self._draw.random() < link.corrupt
        if link.rate_bps is not None:
            own = size * 8 / link.rate_bps
            self._free_s = max(self._free_s, at - self._bucket * 8 / link.rate_bps)
            if (self._free_s - at) * link.rate_bps / 8 > buffer_bytes(link.rate_bps, link.queue):
                return None
            self._free_s += own
            at = max(at, self._free_s) if self._bucket else self._free_s
        delay = max(0.0, link.delay_us + link.jitter_us * self._quantile(self._draw.random())) / 1e6
        if corrupt:
            return None
        self._last_s = max(self._last_s, at + delay)
        return self._last_s + self._draw.random() * self._noise_s


def send(flow: Flow, link: SimulatedLink, late_s: float = 0.0) -> Seen:
    """Everything that a flow sends, ``late_s`` later at most than it was planned."""
    seen = Seen()
    draw = random.Random(7)
    for number in range(flow.probes):
        at = flow.first_s + number * flow.gap_s + draw.random() * late_s
        seen.probes.append((at, link.arrival_s(at, PROBE_BYTES + HEADER_BYTES)))
    if (train := flow.train) is not None:
        at = train.start_s
        for number in range(train.at_once + train.packets):
            at += train.interval_s if number >= train.at_once else 0.0
            sent = max(at + draw.random() * late_s, seen.train[-1] if seen.train else 0.0)
            seen.train.append(sent)
            arrived = link.arrival_s(sent, train.frame_bytes * train.segments)
            if arrived is not None:
                seen.arrivals.append((arrived, train.segments))
    return seen


def held_up(seen: Seen, pauses: Sequence[tuple[float, float]]) -> Seen:
    """The same where whoever takes note of arrivals did not get to run in these spans of time."""

    def noticed_s(at: float) -> float:
        return next((end for begin, end in pauses if begin <= at < end), at)

    probes = [(sent, None if at is None else noticed_s(at)) for sent, at in seen.probes]
    return Seen(probes, seen.train, [(noticed_s(at), count) for at, count in seen.arrivals])
