"""Dealing out: deterministic, complete, never below the minimum, and mistakes told."""

from __future__ import annotations

import numpy as np
import pytest

from fedsim_runner.datasets.split import MIN_SAMPLES, split_labels

LABELS = np.arange(1000) % 10


@pytest.mark.parametrize(
    ("split", "alpha"), [("iid", 0.5), ("dirichlet", 0.05), ("dirichlet", 0.5), ("dirichlet", 100)]
)
@pytest.mark.parametrize("clients", [1, 4, 30, 100])
def test_every_sample_goes_to_one_client(split: str, alpha: float, clients: int) -> None:
    parts = split_labels(LABELS, clients, split, alpha, 7)
    assert len(parts) == clients
    assert min(map(len, parts)) >= MIN_SAMPLES
    assert sorted(np.concatenate(parts).tolist()) == list(range(1000))


def test_the_seed_decides() -> None:
    first, again, other = (split_labels(LABELS, 5, "dirichlet", 0.5, seed) for seed in (7, 7, 8))
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(np.array_equal(one, two) for one, two in zip(first, other, strict=True))


def test_iid_is_even() -> None:
    parts = split_labels(LABELS, 3, "iid", 0.5, 7)
    assert [len(part) for part in parts] == [334, 333, 333]
    assert min(np.bincount(LABELS[part], minlength=10).min() for part in parts) > 20


def test_small_alpha_is_more_uneven() -> None:
    def unevenness(alpha: float) -> float:
        parts = split_labels(LABELS, 5, "dirichlet", alpha, 7)
        return float(np.mean([np.bincount(LABELS[part], minlength=10).std() / len(part) for part in parts]))

    assert unevenness(0.1) > 2 * unevenness(100)


@pytest.mark.parametrize(
    ("clients", "split", "alpha", "told"),
    [
        (101, "iid", 0.5, "at most 100 clients"),
        (4, "random", 0.5, "there are: iid, dirichlet"),
        (4, "dirichlet", 0.0, "alpha must be above 0"),
        (4, "dirichlet", float("nan"), "alpha must be above 0"),
    ],
)
def test_mistakes(clients: int, split: str, alpha: float, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        split_labels(LABELS, clients, split, alpha, 7)
