"""How a device's link varies by itself during a course: along a trace, or at random between states. Pure.

Time counts from the opening of the gate. The plan writes what varies into the device file, a track once for all devices
that follow it, and the agents play it.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Literal, Protocol

from .link import Link, Links

#: When nothing changes any more, in seconds.
NEVER: Final = math.inf

Way = Literal["up", "down"]
WAYS: Final[tuple[Way, ...]] = ("up", "down")


@dataclass(frozen=True, kw_only=True)
class Track:
    """What one direction of a link is over time, a column for each value; None: what is planned holds.

    Attributes:
        at_ms: when each step begins, in milliseconds from the beginning of the trace; the first is 0, and they rise.
        length_ms: from there to the end of the last step.
        rate_bps: of each step, in bit/s.
        delay_us: of each step, in microseconds one way.
        loss: of each step, as a probability in 0..1; None: what is planned holds during the step.
    """

    at_ms: tuple[int, ...]
    length_ms: int
    rate_bps: tuple[int, ...] | None = None
    delay_us: tuple[int, ...] | None = None
    loss: tuple[float | None, ...] | None = None

    def link(self, step: int, planned: Link) -> Link:
        """The direction during a step. Jitter is at most the delay."""
        delay_us = planned.delay_us if self.delay_us is None else self.delay_us[step]
        loss = None if self.loss is None else self.loss[step]
        return replace(
            planned,
            rate_bps=planned.rate_bps if self.rate_bps is None else self.rate_bps[step],
            delay_us=delay_us,
            jitter_us=min(planned.jitter_us, delay_us),
            loss=planned.loss if loss is None else loss,
            bursts=planned.bursts if loss is None else None,
        )

    def lasts_ms(self) -> list[int]:
        """How long each step lasts."""
        return [after - before for before, after in pairwise((*self.at_ms, self.length_ms))]


@dataclass(frozen=True)
class LinkState:
    """A state that a link may be in.

    ``dwell_s``: how long it stays there on average; how long it does each time is exponentially distributed.
    """

    name: str
    links: Links
    dwell_s: float


@dataclass(frozen=True, kw_only=True)
class Variation:
    """How the link of one device varies. It has tracks, or states.

    Attributes:
        planned: what holds where a track says nothing.
        up: name of the track of this direction; None: it does not vary.
        down: the same for the other direction.
        loop: whether tracks begin again at their end; else their last step holds for good.
        offset_ms: where in its tracks the device is when the gate opens.
        states: those that the link moves between.
    """

    planned: Links
    up: str | None = None
    down: str | None = None
    loop: bool = True
    offset_ms: int = 0
    states: tuple[LinkState, ...] = ()


class Course(Protocol):
    """The link of one device over a course."""

    def at(self, elapsed_s: float) -> tuple[Links, float]:
        """The link so long after the gate opened, and when it changes next, :data:`NEVER` if it does not.

        Times of several calls must not run backwards.
        """


def course_of(variation: Variation, tracks: Mapping[str, Track], seed: int, device: str) -> Course:
    """The course of a device's link; the same for the same seed and name.

    Raises:
        KeyError: one of its tracks is not among these.
    """
    if variation.states:
        return _StateCourse(variation.states, seed, device)
    ways = [None if name is None else tracks[name] for name in (variation.up, variation.down)]
    return _TraceCourse(variation, ways[0], ways[1])


def walk(states: Sequence[LinkState], seed: int, device: str) -> Iterator[tuple[float, LinkState]]:
    """Yield when a device's link comes into each state, in seconds from the opening of the gate, and the state.

    A continuous-time Markov chain: each stay is exponentially distributed, and the next state is any of the others,
    all with the same chance. So the share of time in a state is its mean stay over the sum of all. The first is drawn
    with those shares, so the chain is stationary from the beginning: exponential stays have no memory.
    """
    draw = random.Random(f"{seed}/{device}/states")
    state = draw.choices(states, [one.dwell_s for one in states])[0]
    at_s = 0.0
    while True:
        yield at_s, state
        at_s += draw.expovariate(1 / state.dwell_s)
        state = draw.choice([one for one in states if one is not state])


def random_offset_ms(length_ms: int, seed: int, device: str) -> int:
    """Where a device is in its trace when the gate opens, if that is left to the seed."""
    return random.Random(f"{seed}/{device}/trace").randrange(length_ms)


class _TraceCourse:
    def __init__(self, variation: Variation, up: Track | None, down: Track | None) -> None:
        self._variation = variation
        self._up, self._down = up, down

    def at(self, elapsed_s: float) -> tuple[Links, float]:
        at_ms = elapsed_s * 1000 + self._variation.offset_ms
        planned = self._variation.planned
        up, up_ms = self._step(self._up, planned.up, at_ms)
        down, down_ms = self._step(self._down, planned.down, at_ms)
        return Links(up, down), elapsed_s + min(up_ms, down_ms) / 1000

    def _step(self, track: Track | None, planned: Link, at_ms: float) -> tuple[Link, float]:
        """The direction at a time, and the milliseconds until it changes next."""
        if track is None:
            return planned, NEVER
        if self._variation.loop:
            at_ms %= track.length_ms
        step = bisect_right(track.at_ms, at_ms) - 1
        link = track.link(step, planned)
        if step + 1 < len(track.at_ms):
            return link, track.at_ms[step + 1] - at_ms
        return link, track.length_ms - at_ms if self._variation.loop and step else NEVER


class _StateCourse:
    def __init__(self, states: Sequence[LinkState], seed: int, device: str) -> None:
        self._walk = walk(states, seed, device)
        _, self._state = next(self._walk)
        self._next_s, self._following = next(self._walk)

    def at(self, elapsed_s: float) -> tuple[Links, float]:
        while self._next_s <= elapsed_s:
            self._state = self._following
            self._next_s, self._following = next(self._walk)
        return self._state.links, self._next_s


def links_of(link: Links, variation: Variation | None, tracks: Mapping[str, Track]) -> list[Links]:
    """Links that stand for all that a device's may be: each state's, or of tracks all best values and all worst.

    Args:
        link: what it is if it does not vary.
        variation: how it varies; None: it does not.
        tracks: by name.
    """
    if variation is None:
        return [link]
    if variation.states:
        return [state.links for state in variation.states]
    ways = [
        [planned] * 2 if name is None else _extremes(tracks[name], planned)
        for name, planned in ((variation.up, variation.planned.up), (variation.down, variation.planned.down))
    ]
    return [Links(up, down) for up, down in zip(*ways, strict=True)]


def varying_values(variation: Variation, way: Way, tracks: Mapping[str, Track]) -> frozenset[str]:
    """Which of ``rate`` and ``loss`` a direction does not keep."""
    found = [getattr(links, way) for links in links_of(variation.planned, variation, tracks)]
    values = {"rate": {link.rate_bps for link in found}, "loss": {link.loss for link in found}}
    return frozenset(name for name, some in values.items() if len(some) > 1)


def _extremes(track: Track, planned: Link) -> list[Link]:
    """The direction with all its best values, and with all its worst."""
    rates, delays = track.rate_bps, track.delay_us
    losses = None if track.loss is None else [planned.loss if loss is None else loss for loss in track.loss]
    found = []
    for low, high in ((min, max), (max, min)):
        delay_us = planned.delay_us if delays is None else low(delays)
        found.append(
            replace(
                planned,
                rate_bps=planned.rate_bps if rates is None else high(rates),
                delay_us=delay_us,
                jitter_us=min(planned.jitter_us, delay_us),
                loss=planned.loss if losses is None else low(losses),
                bursts=planned.bursts if losses is None else None,
            )
        )
    return found
