"""LEAF's sets as FederatedScope keeps them below ``data.root``."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.federatedscope import PYTHON

_PROGRAM = """
import pathlib, sys, numpy as np, torch
for task in range(2):
    own = pathlib.Path(sys.argv[1]) / sys.argv[2] / "processed" / f"task_{task}"
    own.mkdir(parents=True)
    for split in ("train", "test", "val"):
        numbers = np.random.default_rng(task)
        torch.save(eval(sys.argv[3]), own / f"{split}.pt")
"""


def write_leaf(root: Path, name: str, pair: str) -> None:
    """Write two clients' samples and labels, ``pair`` being an expression of them with the generator ``numbers``."""
    subprocess.run([PYTHON, "-c", _PROGRAM, str(root), name, pair], check=True)
