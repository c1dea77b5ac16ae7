"""What is sent to measure links, and when: first single small packets on all of them, then trains of full frames. Pure.

The small packets tell delay, jitter and loss. They are so far apart that each draws its jitter anew, and take a tenth
of a link's rate at most. A train begins with as many frames at once as the link's token bucket lets through, and one
more; the others follow a little faster than the link passes them on. So the link always has something to send, its
queue is never full, and the arrivals tell its rate.

Trains are sent together only as far as one processor can send and receive them. What does not fit into the time for a
measurement gets no train, and its rate stays unknown.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fedsim_runner.contract.link import Link
from fedsim_runner.contract.link_verdict import LEAST_PACKETS, bucket_bytes
from fedsim_runner.contract.queue_size import FRAME_BYTES, buffer_bytes

#: Headers of Ethernet, IPv4 and UDP: what a packet has on the wire besides what it carries.
HEADER_BYTES = 42
#: What a small packet carries; its own bytes take 2 ms on the slowest link of the catalogue.
PROBE_BYTES = 18
#: Before the first small packets, for those that were sent to see whether links pass any.
WARM_UP_S = 0.05

_PROBES = 50
_LEAST_PROBES = 12
_FOR_LOSS = LEAST_PACKETS + 1  # one more, as a product may be a little less than a whole number
_SHORTEST_GAP_S = 0.02
_PROBES_PER_S = 4_000.0  # of all links together
_MOST_PROBES_PER_S = 6_000.0  # where there are so many links that fewer would say nothing of their losses
_PROBING_S = 0.8  # at least, as a pause of the lab host may be half of that
_LONGEST_PROBING_S = 4.0
_LONGEST_S = 6.0  # for the least number of them

_LEAST_FRAMES = 20
_SHORTEST_TRAIN_S = 0.2
_LONGEST_TRAIN_S = 4.0
_SMALLEST_FRAME_BYTES = 64
_RATE_ERROR = 0.008  # of one deviation, that a train's length is chosen for
_FASTER = 0.08  # further from a link's rate than what is tolerated and the measurement's own error together
_AHEAD = 0.5  # of what a queue holds, so much may wait in it at the end of a train
_BEFORE_BURSTS = 0.3  # of what a queue holds, so much more is sent at once to a link that loses packets in bursts
_FRAMES_PER_S = 9_500.0  # of trains under way at once
_SUPER_FROM_BPS = 120_000_000  # from here on, several frames are given to the kernel at once
_SUPER_S = 0.0005
_MOST_SEGMENTS = 40
_APART_S = 0.04  # trains that follow each other
#: What differs from the rate of a faster link may be the lab host's own sending and taking in. If it drops packets, it
#: gets no train: single frames would be 17,000 a second and more, a back end in user space passes some 40,000 of all
#: links, and a train must not be what makes others late.
FASTEST_BPS = 200_000_000
#: One that is faster still gets none either.
FASTEST_TRIED_BPS = 2_500_000_000
#: Seconds for all trains together; the last ones begin before their end.
_TRAINS_S = 4.0


#: The end that measures the links of devices. No device has such a name.
METER = "(meter)"


@dataclass(frozen=True)
class Target:
    """One direction of a device's link or of an edge, which has the names that rows and events call it by.

    Attributes:
        link: what it is to be.
        sender: the end that sends over it.
        receiver: the end that receives.
    """

    device: str
    direction: str
    link: Link
    sender: str
    receiver: str


@dataclass(frozen=True)
class Train:
    """Frames of one size.

    Attributes:
        start_s: when, after the beginning of the measurement.
        frame_bytes: of each frame on the wire.
        at_once: packets that are sent together at the beginning.
        packets: how many follow.
        interval_s: from one of these to the next.
        segments: frames that each packet has.
    """

    start_s: float
    frame_bytes: int
    at_once: int
    packets: int
    interval_s: float
    segments: int = 1

    @property
    def length_s(self) -> float:
        """From the first packet to the last."""
        return self.packets * self.interval_s


@dataclass(frozen=True)
class Flow:
    """What is sent over one direction of a link: ``probes`` small packets from ``first_s`` on, and perhaps a train."""

    target: Target
    first_s: float
    gap_s: float
    probes: int
    train: Train | None


@dataclass(frozen=True)
class Schedule:
    """All flows, and for how many seconds from the beginning to listen."""

    flows: tuple[Flow, ...]
    listen_s: float


def make_schedule(targets: Sequence[Target], seed: int = 0, frame_bytes: int = FRAME_BYTES) -> Schedule:
    """Plan a measurement.

    Args:
        targets: the directions to measure.
        seed: chooses which links get a train if not all do.
        frame_bytes: of the largest frame that devices send.
    """
    gaps = [_gap_s(target.link, len(targets)) for target in targets]
    counts = [_probes(gap) for gap in gaps]
    first = [WARM_UP_S + gap * index / max(1, len(targets)) for index, gap in enumerate(gaps)]
    probed_s = max((at + gap * count for at, gap, count in zip(first, gaps, counts, strict=True)), default=0.0)
    trains = _place_trains(targets, probed_s, seed, frame_bytes)
    flows = tuple(
        Flow(target, at, gap, count, trains.get(index))
        for index, (target, at, gap, count) in enumerate(zip(targets, first, gaps, counts, strict=True))
    )
    return Schedule(flows, max((_ends_s(flow) for flow in flows), default=0.0))


def wire_s(link: Link, wire_bytes: int) -> float:
    """Return the seconds that a packet's own bytes take."""
    return 0.0 if link.rate_bps is None else wire_bytes * 8 / link.rate_bps


def independent_s(link: Link) -> float:
    """Return the seconds after which a link's delay is as good as another one."""
    return 2 / 3 * link.distribution.spacing * link.jitter_us / 1e6


def _gap_s(link: Link, targets: int) -> float:
    own = wire_s(link, PROBE_BYTES + HEADER_BYTES)
    together = max(targets / _MOST_PROBES_PER_S, min(targets / _PROBES_PER_S, _LONGEST_PROBING_S / _FOR_LOSS))
    return max(_SHORTEST_GAP_S, independent_s(link), 10 * own, together)


def _probes(gap_s: float) -> int:
    wanted = max(_PROBING_S, min(_LONGEST_PROBING_S, _FOR_LOSS * gap_s))
    return max(1, min(_LEAST_PROBES, int(_LONGEST_S / gap_s)), min(_PROBES, int(wanted / gap_s)))


def _plan_train(link: Link, most_bytes: int) -> Train | None:
    """The train for a link's rate, at time 0; None if it has none, or too high a one."""
    rate = link.rate_bps
    if rate is None or rate > FASTEST_TRIED_BPS or (rate > FASTEST_BPS and link.alters_packets):
        return None
    frame = min(most_bytes, max(_SMALLEST_FRAME_BYTES, int(rate / 8 * _LONGEST_TRAIN_S / 2 / _LEAST_FRAMES)))
    segments = 1
    if rate >= _SUPER_FROM_BPS and not link.alters_packets:  # whoever drops one of these drops all of its frames
        segments = max(1, min(_MOST_SEGMENTS, round(rate / 8 * _SUPER_S / frame)))
    takes_s = frame * segments * 8 / rate
    spread_s = link.delay_moments.deviation * link.jitter_us / 1e6
    for_jitter_s = (spread_s * math.sqrt(12 * independent_s(link)) / _RATE_ERROR) ** (2 / 3)
    until_ahead_s = _AHEAD * buffer_bytes(rate, link.queue) * 8 / rate / _FASTER
    length_s = min(_LONGEST_TRAIN_S, until_ahead_s, max(_SHORTEST_TRAIN_S, for_jitter_s, _LEAST_FRAMES * takes_s))
    faster = (1 + _FASTER) / max(0.1, link.arrivals)
    at_once = math.ceil(bucket_bytes(rate) / (frame * segments)) + 1
    if link.bursts is not None:  # so that it has something to send after a burst of losses, too
        at_once += round(_BEFORE_BURSTS * buffer_bytes(rate, link.queue) / frame)
    if at_once * takes_s > _LONGEST_TRAIN_S:
        return None
    return Train(0.0, frame, at_once, math.ceil(length_s * faster / takes_s), takes_s / faster, segments)


def _place_trains(targets: Sequence[Target], from_s: float, seed: int, most_bytes: int) -> dict[int, Train]:
    """Give each train its time: as many at once as can be sent, the longest first."""
    planned = {index: train for index, target in enumerate(targets) if (train := _plan_train(target.link, most_bytes))}
    order = list(planned)
    random.Random(seed).shuffle(order)
    order.sort(key=lambda index: -round(planned[index].length_s, 1))
    placed: dict[int, Train] = {}
    lanes: list[tuple[float, float]] = []  # of the trains under way: when each ends, and its frames per second
    at_s = from_s
    while order and at_s <= from_s + _TRAINS_S:
        for index in tuple(order):
            train = planned[index]
            weight = train.segments / train.interval_s  # frames: a link may have cut what was sent as one
            if not lanes or sum(rate for _, rate in lanes) + weight <= _FRAMES_PER_S:
                placed[index] = _moved(train, at_s)
                lanes.append((at_s + train.length_s + _APART_S, weight))
                order.remove(index)
        at_s = min(end for end, _ in lanes)
        lanes = [(end, rate) for end, rate in lanes if end > at_s]
    return placed


def _moved(train: Train, start_s: float) -> Train:
    return Train(start_s, train.frame_bytes, train.at_once, train.packets, train.interval_s, train.segments)


def _ends_s(flow: Flow) -> float:
    """When the last packet has arrived, if the link does what it is to do."""
    link, train = flow.target.link, flow.train
    last = flow.first_s + flow.gap_s * flow.probes
    if train is not None:
        sent = (train.at_once + train.packets) * train.frame_bytes * train.segments
        last = train.start_s + max(train.length_s, wire_s(link, sent))
    return last + link.longest_delay_us / 1e6 + 0.1


def directions(links: Iterable[tuple[str, Link, Link]]) -> list[Target]:
    """Return both directions of each device's link, from its name, up and down."""
    return [
        target
        for device, up, down in links
        for target in (Target(device, "up", up, device, METER), Target(device, "down", down, METER, device))
    ]
