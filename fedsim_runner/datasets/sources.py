"""Data sets that need no download."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Samples:
    """``x``: float32 of shape (samples, features), ``y``: int64 labels of shape (samples,)."""

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64]

    def take(self, index: npt.NDArray[np.intp]) -> Samples:
        """Some of the samples."""
        return Samples(self.x[index], self.y[index])


def _digits() -> Samples:
    """UCI optical recognition of handwritten digits, test part: 1,797 images of 8 x 8, pixels scaled to 0..1.

    Source: https://archive.ics.uci.edu/dataset/80, as bundled with scikit-learn.
    """
    from sklearn.datasets import load_digits  # 1 s to import: only where the data is really wanted

    loaded: Any = load_digits()
    return Samples((loaded.data / 16).astype(np.float32), loaded.target.astype(np.int64))


DATASETS: dict[str, Callable[[], Samples]] = {"digits": _digits}


def load_samples(name: str) -> Samples:
    """The samples of a data set by its name in the experiment file.

    Raises:
        ValueError: there is no such data set.
    """
    if name not in DATASETS:
        raise ValueError(f"data set {name!r} is not known; there are: {', '.join(sorted(DATASETS))}")
    return DATASETS[name]()
