"""Splitting samples among clients, by their labels."""

from __future__ import annotations

import heapq
import math

import numpy as np
import numpy.typing as npt

from ..catalog.data_sets import MIN_SAMPLES
from .sample_counts import explain_too_few

ATTEMPTS = 1000

Index = npt.NDArray[np.intp]


def split_labels(labels: npt.NDArray[np.int64], clients: int, split: str, alpha: float, seed: int) -> list[Index]:
    """Choose the indices of each client's samples; every sample goes to exactly one client.

    - ``iid``: equal shares of the shuffled samples.
    - ``dirichlet``: each class is split in proportions drawn from Dirichlet(alpha) over the clients (Hsu, Qi and
      Brown 2019, arXiv:1909.06335).
    - ``quantity``: the shuffled samples are split in proportions drawn once from Dirichlet(alpha) over the
      clients, so that sizes are uneven and labels are not (quantity skew of Li, Diao, Chen and He 2022,
      arXiv:2102.02079).

    A smaller alpha is more uneven. Every client gets at least ten samples: the proportions are drawn again until all
    have that many, and if that does not succeed (many clients, small alpha) the largest clients give up samples.

    Raises:
        ValueError: there are fewer than ten samples per client, the split is unknown, or alpha is not above 0.
    """
    if not 0 < alpha < math.inf:
        raise ValueError(f"alpha must be above 0 and finite, not {alpha}: small values are uneven, 100 is nearly even")
    wrong = explain_too_few(len(labels), clients)
    if wrong:
        raise ValueError(wrong)
    rng = np.random.default_rng([seed, 1])
    if split == "iid":
        return [np.sort(part) for part in np.array_split(rng.permutation(len(labels)), clients)]
    if split == "dirichlet":
        classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    elif split == "quantity":
        classes = [np.arange(len(labels))]
    else:
        raise ValueError(f"split {split!r} is unknown; known: iid, dirichlet, quantity")
    parts: list[list[int]] = []
    for _ in range(ATTEMPTS if clients <= 20 else 1):
        parts = _draw_parts(classes, clients, alpha, rng)
        if min(map(len, parts)) >= MIN_SAMPLES:
            break
    _raise_to_minimum(parts)
    return [np.array(sorted(part), dtype=np.intp) for part in parts]


def _draw_parts(classes: list[Index], clients: int, alpha: float, rng: np.random.Generator) -> list[list[int]]:
    """Split each group of samples in randomly drawn proportions."""
    parts: list[list[int]] = [[] for _ in range(clients)]
    for members in classes:
        index = rng.permutation(members)
        shares = rng.dirichlet(np.full(clients, alpha))
        cuts = (np.cumsum(shares)[:-1] * len(index)).astype(int)
        for part, chunk in zip(parts, np.split(index, cuts), strict=True):
            part.extend(chunk.tolist())
    return parts


def _raise_to_minimum(parts: list[list[int]]) -> None:
    """Move samples from the largest clients to those below the minimum."""
    largest = [(-len(part), number) for number, part in enumerate(parts) if len(part) > MIN_SAMPLES]
    heapq.heapify(largest)
    for part in parts:
        while len(part) < MIN_SAMPLES:
            size, number = largest[0]
            part.append(parts[number].pop())
            if -size - 1 > MIN_SAMPLES:
                heapq.heapreplace(largest, (size + 1, number))
            else:
                heapq.heappop(largest)
