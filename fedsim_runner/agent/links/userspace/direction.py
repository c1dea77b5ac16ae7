"""One direction of a device's link as the packet process holds it: loss, then the bottleneck's queue, then the delay.

Pure: it is given times and answers with times. A packet is at the end of the bottleneck once all of its bytes are, so a
lone frame takes its time, too, and a burst leaves at the link's rate from its first byte on.
"""

from __future__ import annotations

import random

from fedsim_runner.contract.link import Link
from fedsim_runner.contract.queue_size import buffer_bytes

from ..jitter import Delay
from ..tally import Passed, Tally


class Direction:
    """The direction, and when it is free again.

    Args:
        link: what was asked for.
        seed: fixes what is drawn.
        tally: what has passed so far.

    Attributes:
        left_s: when the packet that was asked about last leaves the bottleneck, and only its delay is to come.
    """

    def __init__(self, link: Link, seed: str, tally: Tally | None = None) -> None:
        self.tally = tally or Tally()
        self.link = link
        self.seed = seed
        self._loss, self._bursts = link.loss, link.bursts
        self._is_bad = False  # its state, if it loses packets in bursts
        self._s_per_byte = 8 / link.rate_bps if link.rate_bps else 0.0
        # A whole number of packets that fills the queue exactly is to fit.
        self._room_s = buffer_bytes(link.rate_bps, link.queue) * self._s_per_byte + 1e-9 if link.rate_bps else 0.0
        self._draw = random.Random(seed).random
        self._delay = Delay(link.delay_us / 1e6, link.jitter_us / 1e6, seed, link.distribution)
        self._free_s = 0.0  # when the last byte that it has taken will have left the bottleneck
        self.left_s = 0.0

    def departure_s(self, at_s: float, size: int) -> float | None:
        """When a packet that reaches this direction leaves it; None: it is dropped.

        Args:
            at_s: when it arrives, on any clock; times of several packets do not run backwards by much.
            size: its bytes on the wire.
        """
        tally = self.tally
        tally.packets += 1
        if self._loss and self._is_lost():
            tally.lost += 1
            return None
        if self._s_per_byte:
            takes = size * self._s_per_byte
            waits = self._free_s - at_s
            if waits > 0.0:
                if waits + takes > self._room_s:
                    tally.overflowed += 1
                    return None
                at_s = self._free_s
            at_s += takes
            self._free_s = at_s
        tally.bytes += size
        self.left_s = at_s
        return self._delay.departure_s(at_s)

    def passed(self, now_s: float) -> Passed:
        """What has left the bottleneck by now, and what waits for it."""
        tally = self.tally
        waiting = round(max(0.0, self._free_s - now_s) / self._s_per_byte) if self._s_per_byte else 0
        return Passed(max(0, tally.bytes - waiting), tally.packets, tally.lost, tally.overflowed, waiting)

    def _is_lost(self) -> bool:
        """Draw whether a packet is lost, and in which state the next one finds the link."""
        bursts, draw = self._bursts, self._draw
        if bursts is None:
            return draw() < self._loss
        loses = bursts.bad_loss if self._is_bad else bursts.good_loss
        if draw() < (bursts.r if self._is_bad else bursts.p):
            self._is_bad = not self._is_bad
        return draw() < loses

    def changed_to(self, link: Link, seed: str, now_s: float | None = None) -> Direction:
        """The direction with other values, for what arrives from now on; what is under way is not overtaken.

        With the time, what waits for the rate leaves at the new one: :meth:`moved_s` says when.
        """
        new = Direction(link, seed, self.tally)
        new._free_s, new._delay.last_s = self._free_s, self._delay.last_s
        if now_s is not None:
            new._free_s = self.moved_s(self._free_s, now_s, new)
        new._is_bad = self._is_bad
        if seed == self.seed:
            new._draw = self._draw  # or each change would begin with the same draws
        return new

    def moved_s(self, left_s: float, now_s: float, new: Direction) -> float:
        """When what was to leave the bottleneck at ``left_s`` leaves it, if it becomes that of ``new`` now.

        The bytes in front of it, and its own, are then sent at the new rate.
        """
        if left_s <= now_s or not self._s_per_byte:
            return left_s
        return now_s + (left_s - now_s) * new._s_per_byte / self._s_per_byte

    def last_leaves_at(self, at_s: float) -> None:
        """What comes after waits for the last packet under way until then."""
        self._delay.last_s = at_s


def direction_with(before: Direction | None, link: Link, seed: str, now_s: float | None = None) -> Direction:
    """The direction with this link: the one before, or what that changes to (at ``now_s``)."""
    if before is None:
        return Direction(link, seed)
    return before if (before.link, before.seed) == (link, seed) else before.changed_to(link, seed, now_s)
