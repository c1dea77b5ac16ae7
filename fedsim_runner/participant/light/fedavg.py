"""FedAvg: the mean of the clients' parameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..tensors import Array


def mean_parameters(updates: Sequence[tuple[float, dict[str, Array]]], ignore_weight: bool) -> dict[str, Array]:
    """Return the mean of the updates' parameters (McMahan et al. 2017), weighted by their samples, which are above 0.

    Args:
        ignore_weight: weight them equally.
    """
    weights = np.array([1.0 if ignore_weight else samples for samples, _ in updates])
    weights = weights / weights.sum()
    shares = [(weight, parameters) for weight, (_, parameters) in zip(weights, updates, strict=True)]
    return {name: np.asarray(sum(weight * parameters[name] for weight, parameters in shares)) for name in updates[0][1]}
