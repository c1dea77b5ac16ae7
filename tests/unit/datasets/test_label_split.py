"""Splitting by labels: deterministic, complete, never below the minimum, and mistakes are reported."""

from __future__ import annotations

import time

import numpy as np
import pytest

from fedsim_runner.catalog.data_sets import MIN_SAMPLES
from fedsim_runner.datasets.label_split import split_labels

LABELS = np.arange(1000) % 10


@pytest.mark.parametrize(
    ("split", "alpha"),
    [("iid", 0.5), ("dirichlet", 0.05), ("dirichlet", 0.5), ("dirichlet", 100), ("quantity", 0.05), ("quantity", 0.5)],
)
@pytest.mark.parametrize("clients", [1, 4, 30, 100])
def test_every_sample_goes_to_one_client(split: str, alpha: float, clients: int) -> None:
    parts = split_labels(LABELS, clients, split, alpha, 7)
    assert len(parts) == clients
    assert min(map(len, parts)) >= MIN_SAMPLES
    assert sorted(np.concatenate(parts).tolist()) == list(range(1000))


@pytest.mark.parametrize("split", ["iid", "dirichlet", "quantity"])
def test_the_seed_decides(split: str) -> None:
    first, again, other = (split_labels(LABELS, 5, split, 0.5, seed) for seed in (7, 7, 8))
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(np.array_equal(one, two) for one, two in zip(first, other, strict=True))


def test_iid_is_even() -> None:
    parts = split_labels(LABELS, 3, "iid", 0.5, 7)
    assert [len(part) for part in parts] == [334, 333, 333]
    assert min(np.bincount(LABELS[part], minlength=10).min() for part in parts) > 20


def label_skew(split: str, alpha: float) -> float:
    """How far the clients' shares of the labels are from even, on average."""
    parts = split_labels(np.arange(10_000) % 10, 5, split, alpha, 7)
    return float(np.mean([np.abs(np.bincount(part % 10, minlength=10) / len(part) - 0.1).sum() for part in parts]))


def size_skew(split: str, alpha: float) -> float:
    """The standard deviation of the clients' sizes, as a share of their mean."""
    sizes = [len(part) for part in split_labels(np.arange(10_000) % 10, 5, split, alpha, 7)]
    return float(np.std(sizes) / np.mean(sizes))


def test_a_smaller_alpha_is_more_uneven() -> None:
    assert label_skew("dirichlet", 0.1) > 2 * label_skew("dirichlet", 100)
    assert size_skew("quantity", 0.3) > 2 * size_skew("quantity", 100)


def test_quantity_is_uneven_in_size_and_even_in_labels() -> None:
    assert size_skew("quantity", 0.5) > 0.3
    assert label_skew("quantity", 0.5) < 0.3 < label_skew("dirichlet", 0.5)


def test_splitting_among_thousands_of_clients_is_quick() -> None:
    labels = np.arange(40_000) % 10
    began = time.process_time()
    parts = split_labels(labels, 2000, "dirichlet", 0.05, 7)
    assert time.process_time() - began < 5
    assert min(map(len, parts)) == MIN_SAMPLES
    assert sorted(np.concatenate(parts).tolist()) == list(range(40_000))


@pytest.mark.parametrize(
    ("clients", "split", "alpha", "message"),
    [
        (101, "iid", 0.5, "at most 100 clients"),
        (4, "random", 0.5, "known: iid, dirichlet, quantity"),
        (4, "dirichlet", 0.0, "alpha must be above 0"),
        (4, "dirichlet", float("nan"), "alpha must be above 0"),
    ],
)
def test_mistakes(clients: int, split: str, alpha: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split_labels(LABELS, clients, split, alpha, 7)
