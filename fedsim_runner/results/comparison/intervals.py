"""The confidence interval of a mean."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

CONFIDENCE = 0.95


def half_width(values: Sequence[float]) -> float:
    """Return half the width of the 95 % confidence interval of the mean of two or more values.

    By Student's t: repeats with other seeds are few, and their true deviation is unknown.
    """
    return quantile(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))


def quantile(freedom: int) -> float:
    """Return the quantile of Student's t distribution with so many degrees of freedom that a 95 % interval needs."""
    # Imported here: it takes longer than most verbs run.
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
