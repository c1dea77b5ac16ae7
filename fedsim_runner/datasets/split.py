"""Dealing samples out to clients, by their labels."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

# Below this a client has nothing to learn from and nothing to be tested on.
MIN_SAMPLES = 10
ATTEMPTS = 1000

Index = npt.NDArray[np.intp]


def split_labels(labels: npt.NDArray[np.int64], clients: int, split: str, alpha: float, seed: int) -> list[Index]:
    """Indices of each client's samples; every sample goes to one client.

    ``iid``: equal shares of the shuffled samples. ``dirichlet``: each class is dealt out in proportions drawn from
    Dirichlet(alpha), small alpha being more uneven (Hsu, Qi and Brown 2019, arXiv:1909.06335). Every client gets at
    least ten samples: the proportions are drawn again until it does, and where luck does not suffice (many clients,
    small alpha) the largest clients give up samples.

    Raises:
        ValueError: there are fewer than ten samples per client, the split is not known, or alpha is not above 0.
    """
    if not 0 < alpha < math.inf:
        raise ValueError(f"alpha must be above 0 and finite, not {alpha}: small is uneven, 100 is nearly even")
    if clients * MIN_SAMPLES > len(labels):
        raise ValueError(
            f"{len(labels)} samples are too few for {clients} clients: each needs {MIN_SAMPLES}, "
            f"so at most {len(labels) // MIN_SAMPLES} clients"
        )
    rng = np.random.default_rng([seed, 1])
    if split == "iid":
        return [np.sort(part) for part in np.array_split(rng.permutation(len(labels)), clients)]
    if split != "dirichlet":
        raise ValueError(f"split {split!r} is not known; there are: iid, dirichlet")
    parts: list[list[int]] = []
    for _ in range(ATTEMPTS if clients <= 20 else 1):
        parts = _dirichlet(labels, clients, alpha, rng)
        if min(map(len, parts)) >= MIN_SAMPLES:
            break
    _level(parts)
    return [np.array(sorted(part), dtype=np.intp) for part in parts]


def _dirichlet(labels: npt.NDArray[np.int64], clients: int, alpha: float, rng: np.random.Generator) -> list[list[int]]:
    parts: list[list[int]] = [[] for _ in range(clients)]
    for label in np.unique(labels):
        index = rng.permutation(np.flatnonzero(labels == label))
        shares = rng.dirichlet(np.full(clients, alpha))
        cuts = (np.cumsum(shares)[:-1] * len(index)).astype(int)
        for part, chunk in zip(parts, np.split(index, cuts), strict=True):
            part.extend(chunk.tolist())
    return parts


def _level(parts: list[list[int]]) -> None:
    """Move samples from the largest client to those below the minimum."""
    for part in parts:
        while len(part) < MIN_SAMPLES:
            part.append(max(parts, key=len).pop())
