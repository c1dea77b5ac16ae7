"""Every accepted kind of data trains three rounds in FederatedScope: regression, text, matrices, its own sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.federatedscope import runnable_checkout
from tests.unit.engines.federatedscope.leaf import write_leaf
from tests.unit.engines.federatedscope.three_rounds import run_three_rounds

pytestmark = pytest.mark.federatedscope

# What all courses share; a kind of data overrides it.
TREE: dict[str, Any] = {
    "federate": {"total_round_num": 3, "make_global_eval": True},
    "criterion": {"type": "CrossEntropyLoss"},
    "dataloader": {"batch_size": 16},
    "train": {"batch_or_epoch": "epoch", "optimizer": {"lr": 0.1}},
    "eval": {"split": ["test"], "best_res_update_round_wise_key": "test_loss"},
}
OWN_SETS = {"dataset": "federatedscope"}


def nothing(folder: Path) -> None:
    """FederatedScope makes the set."""


def prices(folder: Path) -> None:
    """A label that is the sum of the features."""
    numbers = np.random.default_rng(1)
    rows = numbers.normal(size=(120, 3)).round(3)
    lines = [",".join(map(str, [*row, round(sum(row) * 2 + 1, 3)])) for row in rows.tolist()]
    (folder / "prices.csv").write_text("\n".join(["rooms,age,floor,price", *lines, ""]), encoding="utf-8")


def places(folder: Path) -> None:
    """Two numbers to predict from each of 120 small images."""
    x = np.random.default_rng(2).normal(size=(120, 4, 4))
    np.savez(folder / "places.npz", x=x, y=x.reshape(120, 16)[:, :2] * 3)


def letters(folder: Path) -> None:
    """Text as whole numbers; the next one follows from the last."""
    x = np.random.default_rng(3).integers(0, 20, (160, 6))
    np.savez(folder / "letters.npz", x=x, y=x[:, -1] // 2)


def shakespeare(folder: Path) -> None:
    letters = "torch.from_numpy(numbers.integers(0, 80, (40, 8)))"
    write_leaf(folder / "data", "shakespeare", f"({letters}, torch.from_numpy(numbers.integers(0, 80, 40)))")


# The data, what the experiment file says of them, and the course.
KINDS: dict[str, tuple[Callable[[Path], None], dict[str, Any], dict[str, Any]]] = {
    "linear regression on a CSV file": (
        prices,
        {"dataset": "csv", "path": "prices.csv", "label": "price"},
        {"model": {"type": "lr", "task": "regression"}, "criterion": {"type": "MSELoss"}, "eval": {"metrics": ["mse"]}},
    ),
    "several targets of images": (
        places,
        {"dataset": "npz", "path": "places.npz"},
        {"model": {"type": "mlp", "out_channels": 2, "task": "regression"}, "criterion": {"type": "L1Loss"},
         "dataloader": {"drop_last": True, "batch_size": 8}},
    ),
    "text in an NPZ file": (
        letters,
        {"dataset": "npz", "path": "letters.npz"},
        {"model": {"type": "lstm", "in_channels": 20, "out_channels": 10, "hidden": 16},
         "trainer": {"type": "nlptrainer"}, "eval": {"metrics": ["acc"]}},
    ),
    "text, with a trainer of contrib that goes through batches itself": (
        letters,
        {"dataset": "npz", "path": "letters.npz"},
        {"model": {"type": "lstm", "in_channels": 20, "out_channels": 10, "hidden": 16},
         "trainer": {"type": "sam_trainer", "sam": {"rho": 0.05}}},
    ),
    "FederatedScope's quadratic": (
        nothing,
        OWN_SETS,
        {"model": {"type": "quadratic"}, "criterion": {"type": "L1Loss"}, "data": {"type": "quadratic"},
         "federate": {"make_global_eval": False}, "train": {"optimizer": {"lr": 0.01}}},
    ),
    "FederatedScope's shakespeare": (
        shakespeare,
        OWN_SETS,
        {"model": {"type": "lstm", "in_channels": 80, "out_channels": 80, "hidden": 16},
         "criterion": {"type": "character_loss"}, "trainer": {"type": "nlptrainer"}, "data": {"type": "shakespeare"}},
    ),
}  # fmt: skip


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {key: merged(base[key], value) for key, value in over.items() if isinstance(base.get(key), dict)}
    return {**base, **over, **both}


@pytest.mark.parametrize("kind", KINDS)
def test_three_rounds(kind: str, tmp_path: Path) -> None:
    make, data, changes = KINDS[kind]
    source = runnable_checkout()
    make(tmp_path)
    tree = {"data": data, "federatedscope": {"config": merged(TREE, changes)}}
    _, losses = run_three_rounds(tmp_path, source, f"kinds-{list(KINDS).index(kind)}", tree)
    assert losses[-1] != losses[0]
    if "MSELoss" in str(changes):
        assert losses[-1] < losses[0]
