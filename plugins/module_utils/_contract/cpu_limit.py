"""A number of cores as the kernel limits it: so many microseconds of processor time in each period.

The Engine gets it after a device's start, and the agent writes it back after a device has loaded; both compute it here.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import Final

#: The runtime refuses smaller quotas, the kernel longer periods.
LEAST_QUOTA_US: Final = 1_000
LONGEST_PERIOD_US: Final = 1_000_000
#: What follows from these two.
LEAST_CPUS: Final = LEAST_QUOTA_US / LONGEST_PERIOD_US

#: A device that has used up its quota waits for the next period, so steps shorter than a few periods take a time of
#: chance: periods are as short as the smallest quota allows, within these. The kernel may notice at its next tick only
#: that a quota is used up (4 ms with 250 ticks a second); what is overdrawn is taken off the next periods, so that
#: short periods do no harm. `python -m benchmarks.fidelity smoothness` measures it.
SHORTEST_PERIOD_US: Final = 20_000
USUAL_PERIOD_US: Final = 100_000
#: Periods of devices differ by up to this share. Devices with equal periods keep step: each runs at the same time
#: before or after the same others in all of them. The processor time of a step then differed more between equal
#: devices, by as much for as long as they ran (docs/fidelity.md has the figures).
PERIOD_SPREAD: Final = 0.2


@dataclass(frozen=True)
class CpuLimit:
    """A device's processor time per period, in microseconds."""

    quota_us: int
    period_us: int

    @property
    def coarse(self) -> bool:
        """Whether the period is longer than usual, because the quota would be too small for the runtime."""
        return self.period_us > USUAL_PERIOD_US


def limit_to(cpus: float, time_factor: float = 1.0, device: str | None = None) -> CpuLimit:
    """Return the limit for a number of cores, from ``LEAST_CPUS`` on: periods of 20 ms from 0.05 cores on, and below
    that the shortest in which the smallest quota is what was asked for; of a named device longer by its share of
    ``PERIOD_SPREAD``.

    In a dilated run, with ``time_factor`` device seconds in a wall second, these are the device's cores and its time:
    the period by the clock is as much longer, and the quota the same at any factor. With smaller quotas what a device
    has in the processor's caches would be lost to others more often, and its steps take more processor time.
    """
    # Rounded first: 1000 / 0.001 must not become 1,000,001 by a rounding error.
    spread = 1.0 if device is None else 1 + PERIOD_SPREAD * zlib.crc32(device.encode()) / 0xFFFFFFFF
    own = math.ceil(round(max(LEAST_QUOTA_US * time_factor / cpus, SHORTEST_PERIOD_US) * spread, 3))
    period = min(math.ceil(round(own / time_factor, 3)), LONGEST_PERIOD_US)
    return CpuLimit(max(round(cpus * period), LEAST_QUOTA_US), period)
