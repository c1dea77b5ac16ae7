"""A participant's data: arrays per split, from a .npz file or from FederatedScope's pickle of torch tensors."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..exit_errors import ParticipantError
from ..tensors import Array, loads

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """``x``: float32, shape (samples, features). ``y``: int64 labels, shape (samples,)."""

    x: Array
    y: Array


Shard = Mapping[str, Split]


def load_shard(path: Path) -> Shard:
    """Read the splits of one participant; splits that the file lacks are left out.

    ``.npz``: arrays ``<split>_x`` and ``<split>_y``, never pickled ones. Anything else: FederatedScope's
    ``{'train': {'x': tensor, 'y': tensor}, ...}``, read by the restricted unpickler.

    Raises:
        ParticipantError: the file cannot be read or its arrays do not fit together.
    """
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                raw = {
                    name: (archive[f"{name}_x"], archive[f"{name}_y"])
                    for name in SPLITS
                    if f"{name}_x" in archive and f"{name}_y" in archive
                }
        else:
            tree = loads(path.read_bytes())
            if not isinstance(tree, Mapping):
                raise ParticipantError(f"{path}: expected splits by name, got {type(tree).__name__}")
            raw = {name: (tree[name]["x"], tree[name]["y"]) for name in SPLITS if name in tree}
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ParticipantError(f"{path}: cannot be read as a shard: {error}") from error
    return {name: _split(path, name, np.asarray(x), np.asarray(y)) for name, (x, y) in raw.items()}


def _split(path: Path, name: str, x: Array, y: Array) -> Split:
    if x.ndim < 1 or y.ndim != 1 or len(x) != len(y):
        raise ParticipantError(f"{path}: {name}: x has shape {x.shape} and y {y.shape}; expected (n, ...) and (n,)")
    if not np.issubdtype(y.dtype, np.integer):
        raise ParticipantError(f"{path}: {name}: labels are {y.dtype}, expected integers")
    if x.dtype.kind not in "fiub" or not np.isfinite(x).all():
        raise ParticipantError(f"{path}: {name}: x is {x.dtype} or holds values that are not finite, expected numbers")
    return Split(np.ascontiguousarray(x.reshape(len(x), -1), dtype=np.float32), y.astype(np.int64))
