"""Samples in memory: features and labels, and whole data sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Samples:
    """``x``: float32 or whole numbers, of shape (samples, ...).

    ``y``: int64 labels from 0, of shape (samples,); or targets, which are numbers of any shape (samples, ...).
    """

    x: npt.NDArray[Any]
    y: npt.NDArray[Any]

    def take(self, index: npt.NDArray[np.intp]) -> Samples:
        """Return the samples with the given indices."""
        return Samples(self.x[index], self.y[index])

    def shaped(self, layout: str) -> Samples:
        """Return the samples as rows of features (``flat``), as images (``image``), or as they are (``kept``).

        Images without a channel axis, (height, width), get one. Rows and images are float32.
        """
        if layout == "kept":
            return self
        x = self.x.astype(np.float32, copy=False)
        if layout == "flat":
            return Samples(x.reshape(len(x), -1), self.y)
        return Samples(x[:, np.newaxis] if x.ndim == 3 else x, self.y)


@dataclass(frozen=True)
class Part:
    """The content of one file: samples, and its own test set if it has one."""

    own: Samples
    test: Samples | None = None


@dataclass(frozen=True)
class DataSet:
    """A data set before it is split. Label n is ``classes[n]``; without classes the labels are targets.

    ``whole``: what is split among the clients. Instead of it, ``by_device``: each device's own file
    (``split: files``); the server is included if it has one.
    """

    classes: tuple[str, ...]
    whole: Part | None = None
    by_device: Mapping[str, Part] = field(default_factory=dict)
