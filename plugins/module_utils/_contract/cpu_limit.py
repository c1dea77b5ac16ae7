"""A number of cores as the kernel limits it: so many microseconds of processor time in each period.

The Engine gets it after a device's start, and the agent writes it back after a device has loaded; both compute it here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

#: The runtime refuses smaller quotas, the kernel longer periods.
LEAST_QUOTA_US: Final = 1_000
LONGEST_PERIOD_US: Final = 1_000_000
#: What follows from these two.
LEAST_CPUS: Final = LEAST_QUOTA_US / LONGEST_PERIOD_US

#: A device that has used up its quota waits for the next period, so short periods are smooth. Most kernels notice only
#: at a tick (4 ms), so with a smaller quota a device overdraws it and then waits for several periods.
SMOOTH_QUOTA_US: Final = 4_000
SHORTEST_PERIOD_US: Final = 20_000
USUAL_PERIOD_US: Final = 100_000


@dataclass(frozen=True)
class CpuLimit:
    """A device's processor time per period, in microseconds."""

    quota_us: int
    period_us: int

    @property
    def coarse(self) -> bool:
        """Whether the period is longer than usual, because the quota would be too small for the runtime."""
        return self.period_us > USUAL_PERIOD_US


def limit_to(cpus: float) -> CpuLimit:
    """Return the limit for a number of cores, from ``LEAST_CPUS`` on: quotas of 4 ms where a period of 20 to 100 ms
    allows them, and of 1 ms in a longer period below 0.01 cores.
    """
    smooth = min(max(SMOOTH_QUOTA_US / cpus, SHORTEST_PERIOD_US), USUAL_PERIOD_US)
    # Rounded first: 1000 / 0.001 must not become 1,000,001 by a rounding error.
    period = min(math.ceil(round(max(smooth, LEAST_QUOTA_US / cpus), 3)), LONGEST_PERIOD_US)
    return CpuLimit(max(round(cpus * period), LEAST_QUOTA_US), period)
