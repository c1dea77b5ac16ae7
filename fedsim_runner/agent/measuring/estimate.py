"""From the times at which packets were sent and arrived to a link's delay, jitter, rate and loss. Pure."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from fedsim_runner.contract.link import Link
from fedsim_runner.contract.link_verdict import PAUSES, Estimate, Measured, Z, bucket_bytes
from fedsim_runner.contract.queue_size import buffer_bytes

from .schedule import HEADER_BYTES, PROBE_BYTES, Flow, Train, independent_s, wire_s

_LEAST_VALUES = 10
#: Of so many values the deviation says enough about its own error.
_MANY_VALUES = 40
#: Two values of a delay with jitter that are as far apart as probes (2/3 of the jitter's spacing) have a correlation of
#: 0.58, two that are twice as far apart one of 0.08 (computed from jitter.py's weights). So the mean of many varies as
#: that of so many times fewer independent values, and their deviation likewise.
_AS_ONE_MEAN, _AS_ONE_DEVIATION = 2.33, 1.69
_CLOCK_US = 50.0  # what two looks at a clock around a system call may differ by
_CLOCK_SHARE = 0.002  # of a rate
_HELD_UP_S, _HELD_UP = 0.005, 0.1  # a pause of the lab host, and of how many packets it spoils a train
_MEDIAN_OF_NORMAL = 0.6745


@dataclass
class Seen:
    """What became of a flow's packets. Times are seconds on one clock.

    Attributes:
        probes: when each small packet was sent, and arrived (None: it has not), in order.
        train: when each of the train's packets was sent.
        arrivals: when frames of the train arrived, and how many of them at once.
    """

    probes: list[tuple[float, float | None]] = field(default_factory=list)
    train: list[float] = field(default_factory=list)
    arrivals: list[tuple[float, int]] = field(default_factory=list)


def estimate(flow: Flow, seen: Seen) -> Measured:
    """Return what the packets of a flow tell about its direction of the link."""
    own_us = wire_s(flow.target.link, PROBE_BYTES + HEADER_BYTES) * 1e6
    delays = [(arrived - sent) * 1e6 - own_us for sent, arrived in seen.probes if arrived is not None]
    delay, jitter = _estimate_delays(delays, flow.target.link)
    sent, lost = len(seen.probes), len(seen.probes) - len(delays)
    rate: Estimate | None = None
    burst: float | None = None
    held_up_s = 0.0
    if flow.train is not None and flow.target.link.rate_bps is not None:
        asked, queue = flow.target.link.rate_bps, flow.target.link.queue
        ahead = _ahead_bytes(flow.train, flow.target.link, seen.train)
        single = flow.train.segments == 1
        room = buffer_bytes(asked, queue)
        fits = ahead and max(ahead) <= min(bucket_bytes(asked) + 0.8 * room, 0.95 * room)
        if single and fits and min(ahead) > 0:
            # No frame met a full queue, nor many sent together after a pause: each that is missing is a loss.
            sent += len(seen.train)
            lost += len(seen.train) - sum(count for _, count in seen.arrivals)
        if (
            ahead
            and min(ahead) > _missing_bytes(flow.train, flow.target.link, seen)
            and len(seen.train) == flow.train.at_once + flow.train.packets
        ):
            held_up_s = _held_up_s(flow, seen, math.inf if delay is None else delay.value)
            rate, burst = _estimate_rate(flow, seen.arrivals, held_up_s)
    return Measured(delay, jitter, rate, burst, sent, max(0, lost), _given_bps(flow.train, seen.train), held_up_s)


def _given_bps(train: Train | None, sent: Sequence[float]) -> float | None:
    """The rate with which the packets of a train that follow those sent at once were given to the kernel."""
    later = [] if train is None else sent[train.at_once :]
    if train is None or len(later) < _LEAST_VALUES or later[-1] <= later[0]:
        return None
    return (len(later) - 1) * train.frame_bytes * train.segments * 8 / (later[-1] - later[0])


def _estimate_delays(delays: Sequence[float], link: Link) -> tuple[Estimate | None, Estimate | None]:
    count, asked = len(delays), link.delay_moments
    if count < _LEAST_VALUES:
        return None, None
    mean, deviation = statistics.fmean(delays), statistics.stdev(delays)
    # The deviation of few values may be far below that of the link.
    of_link = max(deviation, asked.deviation * link.jitter_us)
    delay = Estimate(
        mean,
        Z * deviation / math.sqrt(count) + _CLOCK_US,
        Z * of_link * math.sqrt(_AS_ONE_MEAN / count) + _CLOCK_US if link.jitter_us else None,
    )
    if deviation == 0:
        return delay, Estimate(0.0, _CLOCK_US)
    # The deviation's own deviation; one value far from all others makes it large, and so does a distribution with some.
    kurtosis = statistics.fmean(((one - mean) / deviation) ** 4 for one in delays)
    spread = math.sqrt(max(asked.kurtosis, kurtosis) - 1) / (2 * math.sqrt(count))
    width = deviation / asked.deviation
    widest = Z * spread * math.sqrt(_AS_ONE_DEVIATION) * max(width, link.jitter_us) + _CLOCK_US
    return delay, Estimate(width, Z * spread * width + _CLOCK_US, widest if count < _MANY_VALUES else None)


def _ahead_bytes(train: Train, link: Link, sent: Sequence[float]) -> list[float]:
    """By how much what had been sent exceeds what the link can have passed on, just before each of the later packets.

    0 or less: the link had nothing to send.
    """
    size = train.frame_bytes * train.segments * link.arrivals
    per_s = (link.rate_bps or 0) / 8
    return [number * size - per_s * (at - sent[0]) for number, at in enumerate(sent) if number >= train.at_once]


def _missing_bytes(train: Train, link: Link, seen: Seen) -> float:
    """By how much bursts of losses have made what a link had to send less than expected."""
    if link.bursts is None:
        return 0.0
    missing = len(seen.train) * (1 - link.loss) - sum(count for _, count in seen.arrivals)
    return max(0.0, missing) * train.frame_bytes


def _fit(places: Sequence[float], times: Sequence[float]) -> tuple[float, float]:
    """A line's slope and start, whatever happened to some of the values: medians, not means (Theil and Sen)."""
    half = len(places) // 2
    pairs = zip(places, places[half:], times, times[half:], strict=False)
    slope = statistics.median((at - before) / (place - one) for one, place, before, at in pairs)
    return slope, statistics.median(at - slope * place for place, at in zip(places, times, strict=True))


def _held_up_s(flow: Flow, seen: Seen, delay_us: float) -> float:
    """The longest pause in the arrivals of a train, beyond what is usual between two of them, and what jitter makes.

    Whoever passes packets, or takes note of them, was perhaps held up for so long: what had to wait then comes at once,
    as if the link were faster.
    """
    train, link = flow.train, flow.target.link
    times = [at for at, _ in seen.arrivals]
    if train is None or len(times) < _LEAST_VALUES:
        return 0.0
    gaps = [after - before for before, after in itertools.pairwise(times)]
    usual_s = min(delay_us, link.mean_delay_us) / 1e6
    first_s = times[0] - seen.train[0] - usual_s - wire_s(link, train.frame_bytes * seen.arrivals[0][1])
    spread_s = (link.distribution.most - link.distribution.least) * link.jitter_us / 1e6
    return max(0.0, max(first_s, max(gaps) - statistics.median(gaps)) - spread_s)


def _estimate_rate(
    flow: Flow, arrivals: Sequence[tuple[float, int]], held_up_s: float
) -> tuple[Estimate | None, float | None]:
    """The slope of a line through the arrivals once the bucket is empty, and how far it is above the first of them."""
    train, link = flow.train, flow.target.link
    assert train is not None and link.rate_bps is not None
    first_frames = train.at_once * train.segments
    got = 0
    bytes_so_far: list[float] = []
    times: list[float] = []
    for at, count in arrivals:
        got += count
        if got >= first_frames:
            bytes_so_far.append(got * train.frame_bytes)
            times.append(at)
    if len(times) < _LEAST_VALUES or times[-1] <= times[0]:
        return None, None
    slope, intercept = _fit(bytes_so_far, times)
    if slope <= 0:
        return None, None
    left = [at - (intercept + slope * size) for size, at in zip(bytes_so_far, times, strict=True)]
    usual = max(statistics.median(map(abs, left)) / _MEDIAN_OF_NORMAL, _HELD_UP_S / 5, link.jitter_us / 1e6)
    if sum(abs(one) > 3 * usual for one in left) > _HELD_UP * len(left):
        return None, None  # the lab host held packets up, and what was measured is that
    length_s = times[-1] - times[0]
    independent = min(len(times), max(4.0, length_s / independent_s(link)) if link.jitter_us else len(times))
    error = statistics.pstdev(left) / (statistics.pstdev(bytes_so_far) * math.sqrt(independent)) / slope
    # What is corrupt takes its time, and does not arrive. How much that was varies, as it is drawn.
    rate_bps = 8 / slope / (1 - link.corrupt)
    error += math.sqrt(link.corrupt * (1 - link.corrupt) / len(times)) * 12**0.5 / 2
    ahead = (arrivals[0][0] - intercept) / slope - arrivals[0][1] * train.frame_bytes
    margin_bps = rate_bps * (Z * error + _CLOCK_SHARE)
    # In seconds per byte the line is off by so much at most, if the rate is the one asked for.
    paused = PAUSES * held_up_s / (bytes_so_far[-1] - bytes_so_far[0])
    return Estimate(rate_bps, margin_bps, margin_bps + rate_bps * link.rate_bps / 8 * paused), max(0.0, ahead)
