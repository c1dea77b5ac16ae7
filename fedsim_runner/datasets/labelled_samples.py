"""Samples in memory: features and labels, and what a whole data set is."""

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
        """Some of the samples."""
        return Samples(self.x[index], self.y[index])

    def shaped(self, layout: str) -> Samples:
        """The same with one row of features per sample (``flat``), or in their natural shape (``image``).

        Images without a channel, (height, width), get one.
        """
        if layout == "flat":
            return Samples(self.x.reshape(len(self.x), -1), self.y)
        return Samples(self.x[:, np.newaxis], self.y) if self.x.ndim == 3 else self


@dataclass(frozen=True)
class Part:
    """What one file holds: samples, and a test set of its own where it brings one."""

    own: Samples
    test: Samples | None = None


@dataclass(frozen=True)
class DataSet:
    """A data set before it is split. Label n is ``classes[n]``.

    ``whole``: what is dealt out. Instead of it ``by_device``: each device's own file (``split: files``); the server's
    is there if it has one.
    """

    classes: tuple[str, ...]
    whole: Part | None = None
    by_device: Mapping[str, Part] = field(default_factory=dict)
