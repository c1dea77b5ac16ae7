"""Distributions of jitter, in units of J, the link's jitter. Pure.

As iproute2 has them: uniform from -J to J; normal with the deviation J; pareto, which iproute2's table of that name
(pareto.c) takes from Pareto's distribution of shape 3, moved and scaled by 4/3; and any table in iproute2's
format, integers of which 8192 are J. A table's entries have 16 bits, so nothing is further than 4 J from the mean.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from statistics import NormalDist, fmean
from typing import Final, Literal

DistributionName = Literal["uniform", "normal", "pareto", "table"]
#: In iproute2's tables this number is J (its DIST_SCALE).
TABLE_SCALE: Final = 8192
#: The most that a number of 16 bits says.
CUT: Final = 4.0
#: Values for which moments are added up.
_STEPS: Final = 20_000
_LEAST_SHARE: Final = 1e-12

# Time from one independent value of a link's delay to the next, in J: so long that what the delay may fall no faster
# than time runs changes mean and deviation by less than a hundredth (by 0.04 J for a table of two values, which jumps).
_SPACING: Final = {"uniform": 3.0, "normal": 6.0, "pareto": 9.0, "table": 12.0}

_inverse_normal = NormalDist().inv_cdf


@dataclass(frozen=True)
class Moments:
    """Mean and deviation in units of J, and kurtosis (3 for a normal distribution)."""

    mean: float
    deviation: float
    kurtosis: float


@dataclass(frozen=True)
class FallMoments:
    """Of two independent values a and b, 0 where b is not below a.

    Attributes:
        fall: mean of a - b, in J.
        squares: mean of (a - m)^2 - (b - m)^2, in J^2, where m is the distribution's mean; 0 if it is symmetric.
    """

    fall: float
    squares: float


@dataclass(frozen=True)
class Distribution:
    """A distribution of jitter.

    Attributes:
        name: which one.
        table: for ``table``, its numbers in rising order.
    """

    name: DistributionName
    table: tuple[int, ...] = ()

    def __str__(self) -> str:
        if self.name != "table":
            return self.name
        digest = zlib.crc32(" ".join(map(str, self.table)).encode())
        return f"table of {len(self.table)} values, {digest:08x}"

    @property
    def spacing(self) -> float:
        """Time from one independent value of a link's delay to the next, in J."""
        return _SPACING[self.name]

    @cached_property
    def quantile(self) -> Callable[[float], float]:
        """The function that returns the value below which a share (0 to 1) of the distribution lies, in J."""
        if self.name == "table":
            values = [number / TABLE_SCALE for number in self.table]
            count = len(values)
            return lambda share: values[min(int(share * count), count - 1)]
        return {"uniform": uniform, "normal": _normal, "pareto": _pareto}[self.name]

    @property
    def least(self) -> float:
        """The smallest value, in J."""
        return self.quantile(0.0)

    @property
    def most(self) -> float:
        """The largest value, in J."""
        return self.quantile(1.0)

    def moments(self, floor: float = -math.inf) -> Moments:
        """Return mean and deviation.

        Args:
            floor: values below it count as this one, in J: no delay is below 0.
        """
        return _moments(self, max(floor, self.least))

    def fall_moments(self, floor: float = -math.inf) -> FallMoments:
        """Return what the second of two independent values is below the first.

        Args:
            floor: as for :meth:`moments`.
        """
        return _fall_moments(self, max(floor, self.least))


def uniform(share: float) -> float:
    """The value, between -1 and 1, below which this share of a uniform distribution lies."""
    return 2.0 * share - 1.0


def _normal(share: float) -> float:
    return max(-CUT, min(CUT, _inverse_normal(min(max(share, _LEAST_SHARE), 1.0 - _LEAST_SHARE))))


def _pareto(share: float) -> float:
    return min(CUT, (4 / 3) * (math.pow(max(1.0 - share, _LEAST_SHARE), -1 / 3) - 1.5))


def _values(distribution: Distribution, floor: float) -> list[float]:
    """Values in rising order, each as probable as the others; those below the floor count as it."""
    if distribution.name == "table":
        return [max(floor, number / TABLE_SCALE) for number in distribution.table]
    return [max(floor, distribution.quantile((number + 0.5) / _STEPS)) for number in range(_STEPS)]


@lru_cache(maxsize=4096)
def _moments(distribution: Distribution, floor: float) -> Moments:
    values = _values(distribution, floor)
    mean = fmean(values)
    variance = fmean((one - mean) ** 2 for one in values)
    if variance == 0:
        return Moments(mean, 0.0, 3.0)
    return Moments(mean, math.sqrt(variance), fmean((one - mean) ** 4 for one in values) / variance**2)


@lru_cache(maxsize=4096)
def _fall_moments(distribution: Distribution, floor: float) -> FallMoments:
    values = _values(distribution, floor)
    mean, count = fmean(values), len(values)
    # Of two independent values, one at share p of the distribution is the larger with probability p.
    excess = [(2 * number + 1) / count - 1 for number in range(count)]
    return FallMoments(
        fmean(one * more for one, more in zip(values, excess, strict=True)),
        fmean((one - mean) ** 2 * more for one, more in zip(values, excess, strict=True)),
    )
