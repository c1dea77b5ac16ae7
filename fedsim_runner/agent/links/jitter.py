"""Delay that varies as a process in time, not from packet to packet. Pure, and the same for the same seed and time.

Drawn for each packet, the delay depends on the traffic: in a dense flow each packet waits for the slowest before it, so
the mean rises towards delay + jitter and the deviation vanishes. Here the delay is a function of time. Standard normal
values, one every few J, are interpolated with weights divided by sqrt((1 - u)^2 + u^2), which keeps the value at every
moment standard normal (plain interpolation keeps 0.82 of the deviation), and the normal distribution function
maps it to the distribution asked for. So whatever the traffic, what it meets has that distribution.

The values are so far apart that the delay as good as never falls faster than time runs: a packet does not overtake
those before it. The rest is cut off, which changes the deviation by less than a thousandth.
"""

from __future__ import annotations

import hashlib
import math
from statistics import NormalDist

from fedsim_runner.contract.jitter_distribution import Distribution

UNIFORM = Distribution("uniform")
_MASK = (1 << 64) - 1
_inverse = NormalDist().inv_cdf
_ROOT_HALF = math.sqrt(0.5)


class Jitter:
    """The deviation from a link's mean delay at any time.

    Args:
        jitter_s: J, in seconds, above 0.
        seed: links with different seeds have nothing in common.
        distribution: the one asked for. Its spacing is the time from one normal value to the next, in J: values that
            are further apart than twice this are independent.
    """

    def __init__(self, jitter_s: float, seed: str, distribution: Distribution = UNIFORM) -> None:
        self._jitter_s = jitter_s
        self._step_s = distribution.spacing * jitter_s
        self._seed = int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=8).digest())
        self._quantile = distribution.quantile
        self._number = -1  # of the interval that the next two belong to
        self._before = self._after = 0.0

    def offset_s(self, at_s: float) -> float:
        """The deviation at this time, in seconds; negative where the delay is shorter than its mean."""
        place = at_s / self._step_s
        number = int(place)
        if number != self._number:
            self._before = self._after if number == self._number + 1 else self._normal(number)
            self._after = self._normal(number + 1)
            self._number = number
        u = place - number
        v = 1.0 - u
        normal = (v * self._before + u * self._after) / math.sqrt(v * v + u * u)
        return self._jitter_s * self._quantile(0.5 + 0.5 * math.erf(normal * _ROOT_HALF))

    def _normal(self, number: int) -> float:
        """The number-th of independent standard normal values (SplitMix64)."""
        mixed = (self._seed + (number + 1) * 0x9E3779B97F4A7C15) & _MASK
        mixed = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & _MASK
        return _inverse(((mixed ^ mixed >> 31) + 0.5) / (1 << 64))


class Delay:
    """When packets that enter a line leave it: after its delay, in the order in which they entered.

    Args:
        delay_s: in seconds, around which jitter varies it.
        jitter_s: J, in seconds; 0: the delay is constant.
        seed, distribution: see :class:`Jitter`.
    """

    def __init__(self, delay_s: float, jitter_s: float, seed: str, distribution: Distribution = UNIFORM) -> None:
        self._delay_s = delay_s
        self._jitter = Jitter(jitter_s, seed, distribution) if jitter_s > 0 else None
        self.last_s = 0.0  # when the last packet leaves

    def departure_s(self, at_s: float) -> float:
        """When a packet that enters at ``at_s`` leaves; both on the same clock."""
        leaves = at_s + self._delay_s
        if self._jitter is not None:
            leaves = max(at_s, leaves + self._jitter.offset_s(at_s))
        if leaves < self.last_s:
            return self.last_s
        self.last_s = leaves
        return leaves
