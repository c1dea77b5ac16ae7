"""How far a measured link may be from the one that was asked for, and what a measurement says about that. Pure.

Whatever is measured in seconds has an error of its own: the margin of an :class:`Estimate`. A value is *out* only if
the tolerated range and the interval have nothing in common, and *within* only if the interval is narrow enough to say
so; else it is *undetermined*.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Literal

from .link import Link
from .queue_size import FRAME_BYTES, buffer_bytes
from .time_scale import REAL_TIME, TimeScale

Verdict = Literal["within", "out", "undetermined"]
WITHIN: Final = "within"
OUT: Final = "out"
UNDETERMINED: Final = "undetermined"

#: Of the standard normal distribution: 99.9 % lie within so many deviations of the mean.
Z: Final = 3.2905
#: An interval says something if its half is at most so many times what is tolerated.
NARROW: Final = 2.0
#: So much of a rate is tolerated.
RATE_SHARE: Final = 0.02
#: A lab host pauses for so long without anybody being to blame; a link then makes up for what has waited.
PAUSE_S: Final = 0.25
#: The token bucket that both back ends document.
BUCKET_S, LEAST_BUCKET_BYTES = 0.004, 1600
#: The variance of losses in bursts counts so many times.
BURSTS: Final = 1.5
#: What is sent to measure a delay, with its headers.
SMALL_FRAME_BYTES: Final = 60
#: Fewer packets say nothing about loss.
LEAST_PACKETS: Final = 40
#: A line through values half a train apart, of which any may be late by a pause, is off by so many pauses at its ends.
PAUSES: Final = 2.0
_CHANCE: Final = 0.0005  # of either end of a 99.9 % interval
_NORMAL_FROM: Final = 2_000.0  # variance of a number of losses from which on it is as good as normal


@dataclass(frozen=True)
class Estimate:
    """A measured value; it lies within ``margin`` of the true one in 99.9 of 100 cases.

    Attributes:
        widest: where the values that it is from are few, or depend on each other, the margin beyond which the true one
            is certainly another; None: ``margin`` is.
    """

    value: float
    margin: float
    widest: float | None = None


@dataclass(frozen=True)
class Measured:
    """What was measured of one direction of a link; None: nothing could be.

    Attributes:
        delay_us: mean one-way delay, without the time that the probe's own bytes take.
        jitter_us: deviation of the delay divided by that of the distribution asked for, in units of its jitter.
        rate_bps: rate of arrival of full frames while the link always had more to send.
        burst_bytes: what arrived ahead of that rate after a pause.
        sent: packets sent.
        lost: those of them that did not arrive.
        given_bps: rate with which full frames were given to the link.
        held_up_s: the longest pause in the arrivals that the rate is from, without what jitter makes; what passes late
            arrives together after it.
    """

    delay_us: Estimate | None = None
    jitter_us: Estimate | None = None
    rate_bps: Estimate | None = None
    burst_bytes: float | None = None
    sent: int = 0
    lost: int = 0
    given_bps: float | None = None
    held_up_s: float = 0.0

    @property
    def loss(self) -> float | None:
        """The share of packets that were lost."""
        return self.lost / self.sent if self.sent else None


def _own_noise_us(scale: TimeScale) -> float:
    """The noise of a lab host's own timing, 1 ms; of slower devices' time, to which less does not matter."""
    return max(1_000.0, scale.to_wall(1_000.0))


def tolerated_delay_us(asked_us: float, scale: TimeScale = REAL_TIME) -> float:
    """Return by how much a delay may be off, both in wall time: 1 ms or 2 %, whichever is more.

    Both back ends were measured at +0.4 to +0.7 ms on an idle lab host with two cores (docs/measuring-links.md).
    """
    return max(_own_noise_us(scale), 0.02 * asked_us)


def tolerated_jitter_us(asked_us: float, scale: TimeScale = REAL_TIME) -> float:
    """Return by how much the jitter may be off, both in wall time: 15 % of it, or 1 ms.

    The deviation of a uniform distribution is known to 15 % from 200 values on (its own deviation is then 3 %). An idle
    lab host alone makes deviations of 0.1 to 0.7 ms, which is what 1 ms of uniform jitter has.
    """
    return max(_own_noise_us(scale), 0.15 * asked_us)


def tolerated_rate_bps(asked_bps: float) -> float:
    """Return by how much a rate may be off: 2 %. A kernel's token bucket and both back ends hold it within 1 %."""
    return RATE_SHARE * asked_bps


def tolerated_burst_bytes(rate_bps: int) -> float:
    """Return what may arrive ahead of the rate: the documented bucket, a full frame, and 2 % of one second."""
    return bucket_bytes(rate_bps) + FRAME_BYTES + tolerated_rate_bps(rate_bps) / 8


def bucket_bytes(rate_bps: int) -> int:
    """Return the size of the token bucket that may be in front of a rate: 4 ms of it, at least a frame."""
    return max(math.ceil(rate_bps / 8 * BUCKET_S), LEAST_BUCKET_BYTES)


def judge_value(asked: float, tolerated: float, found: Estimate | None) -> Verdict:
    """Return what an estimate says about a value of which so much may be missing, or too much."""
    if found is None:
        return UNDETERMINED
    off = abs(found.value - asked) - tolerated
    if off > found.margin:
        return OUT if found.widest is None or off > found.widest else UNDETERMINED
    return WITHIN if found.margin <= NARROW * tolerated else UNDETERMINED


def judge_loss(asked: float, sent: int, lost: int, among: int = 1) -> Verdict:
    """Return whether so many lost packets are in the 99.9 % interval of a loss; one that loses none may lose none.

    Args:
        asked: the probability.
        sent: packets.
        lost: those of them that did not arrive.
        among: so many are judged together; 99.9 % are then the chance that all of them are in their intervals.
    """
    if sent and not _is_likely(asked, sent, lost, _CHANCE / max(1, among)):
        return OUT
    return WITHIN if sent >= LEAST_PACKETS else UNDETERMINED


def judge_losses(asked: Link, sent: int, lost: int, among: int = 1) -> Verdict:
    """Return what lost packets say about a link, whatever its losses are like.

    Losses in bursts are as good as independent ones of as many times fewer packets as their variance is larger
    (Kish's effective sample size); :data:`BURSTS` as their number has the longer tail. Where duplicates or corruption
    make the losses that are seen others than those of the link, any share in that range is right.
    """
    times = 1.0 if asked.bursts is None else BURSTS * max(1.0, asked.bursts.variance_factor)
    sent, lost = round(sent / times), round(lost / times)
    least, most = asked.loss_range
    share = lost / sent if sent else 0.0
    return judge_loss(min(max(share, least), most), sent, lost, among)


@dataclass(frozen=True)
class Judgement:
    """The verdict for each property of one direction of a link; None: it is not limited, so there is nothing to say."""

    delay: Verdict
    jitter: Verdict
    rate: Verdict | None
    loss: Verdict

    @property
    def verdict(self) -> Verdict:
        """One verdict for all of them."""
        parts = [part for part in (self.delay, self.jitter, self.rate, self.loss) if part is not None]
        return next((one for one in (OUT, UNDETERMINED) if one in parts), WITHIN)

    @property
    def out(self) -> list[str]:
        """The properties that are out."""
        return [name for name in ("delay", "jitter", "rate", "loss") if getattr(self, name) == OUT]


@dataclass(frozen=True)
class Counted:
    """What one direction's counters say of a whole course.

    Attributes:
        packets: that were sent over it.
        lost: those of them that did not arrive, without those for which the queue had no room.
        busiest_bps: the highest rate over a second or more.
        ahead_bytes: by how much at most what had passed was ahead of the rate asked for and the tolerance.
    """

    packets: int
    lost: int
    busiest_bps: float
    ahead_bytes: float


def judge_course(asked: Link, found: Counted, pause_s: float = 0.0, among: int = 1) -> tuple[Verdict | None, Verdict]:
    """Return what the counters say about the rate (None: it is not limited), and about the loss.

    A rate is out if more has passed than it allows, and within if a second was so busy that it was reached.

    Args:
        asked: the direction.
        found: its counters.
        pause_s: the longest that the lab host is known to have been late.
        among: so many are judged together.
    """
    rate: Verdict | None = None
    if asked.rate_bps is not None:
        at_once = bucket_bytes(asked.rate_bps) + buffer_bytes(asked.rate_bps, asked.queue) + FRAME_BYTES
        allowed = at_once + asked.rate_bps / 8 * max(PAUSE_S, pause_s)
        reached = found.busiest_bps >= asked.rate_bps - tolerated_rate_bps(asked.rate_bps)
        rate = OUT if found.ahead_bytes > allowed else WITHIN if reached else UNDETERMINED
    return rate, judge_losses(asked, found.packets, found.lost, among)


def judge(asked: Link, found: Measured, among: int = 1, scale: TimeScale = REAL_TIME) -> Judgement:
    """Return what a measurement says about one direction of a link, of so many that are judged together."""
    return Judgement(
        delay=judge_value(
            asked.mean_delay_us, tolerated_delay_us(asked.delay_us, scale) + _own_us(asked), found.delay_us
        ),
        jitter=judge_value(asked.jitter_us, tolerated_jitter_us(asked.jitter_us, scale), found.jitter_us),
        rate=_judge_rate(asked, found),
        loss=judge_losses(asked, found.sent, found.lost, among),
    )


def _own_us(asked: Link) -> float:
    """The time for the bytes of a small frame, which one alone does not take if its link has a token bucket."""
    has_bucket = asked.rate_bps is not None and (asked.discipline != "fifo" or asked.duplicate > 0)
    return SMALL_FRAME_BYTES * 8e6 / asked.rate_bps if has_bucket and asked.rate_bps else 0.0


def _judge_rate(asked: Link, found: Measured) -> Verdict | None:
    if asked.rate_bps is None:
        return None
    if found.burst_bytes is not None:
        spread_us = (asked.distribution.most - asked.distribution.least) * asked.jitter_us
        # By how much jitter alone moves the first arrivals, and the lab host's pauses move the line through all.
        moved = asked.rate_bps / 8 * (spread_us / 1e6 + PAUSES * found.held_up_s)
        if found.burst_bytes > tolerated_burst_bytes(asked.rate_bps) + moved:
            return OUT
    return judge_value(asked.rate_bps, tolerated_rate_bps(asked.rate_bps), found.rate_bps)


def _is_likely(chance: float, sent: int, lost: int, least: float) -> bool:
    """Whether both tails of the binomial distribution, from ``lost`` outwards, have at least this probability."""
    if chance <= 0.0:
        return lost == 0
    if chance >= 1.0:
        return lost == sent
    mean, variance = sent * chance, sent * chance * (1 - chance)
    if variance >= _NORMAL_FROM:
        return abs(lost - mean) <= -NormalDist().inv_cdf(least) * math.sqrt(variance) + 0.5
    if lost > mean:
        return sum(_chance(chance, sent, number) for number in _tail(lost, sent)) >= least
    return sum(_chance(chance, sent, number) for number in range(lost, -1, -1)) >= least


def _tail(lost: int, sent: int) -> range:
    # Beyond a few hundred more there is nothing left of a tail whose mean is below `lost`.
    return range(lost, min(sent, lost + 500) + 1)


def _chance(chance: float, sent: int, lost: int) -> float:
    """The binomial distribution's probability of exactly so many losses."""
    ways = math.lgamma(sent + 1) - math.lgamma(lost + 1) - math.lgamma(sent - lost + 1)
    return math.exp(ways + lost * math.log(chance) + (sent - lost) * math.log1p(-chance))
