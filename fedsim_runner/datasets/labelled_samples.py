"""Samples in memory: features and labels, and whole data sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Samples:
    """``x``: float32 of shape (samples, ...), ``y``: int64 labels from 0, shape (samples,)."""

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64]

    def take(self, index: npt.NDArray[np.intp]) -> Samples:
        """Return the samples with the given indices."""
        return Samples(self.x[index], self.y[index])

    def shaped(self, layout: str) -> Samples:
        """Return the samples with one row of features each (``flat``), or in their natural shape (``image``).

        Images without a channel axis, (height, width), get one.
        """
        if layout == "flat":
            return Samples(self.x.reshape(len(self.x), -1), self.y)
        return Samples(self.x[:, np.newaxis], self.y) if self.x.ndim == 3 else self


@dataclass(frozen=True)
class Part:
    """The content of one file: samples, and its own test set if it has one."""

    own: Samples
    test: Samples | None = None


@dataclass(frozen=True)
class DataSet:
    """A data set before it is split. Label n is ``classes[n]``.

    ``whole``: what is split among the clients. Instead of it, ``by_device``: each device's own file
    (``split: files``); the server is included if it has one.
    """

    classes: tuple[str, ...]
    whole: Part | None = None
    by_device: Mapping[str, Part] = field(default_factory=dict)
