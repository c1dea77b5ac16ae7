"""Data in place of those that a FederatedScope YAML names and that are not at hand: what its model can train on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..catalog.data_sets import BUNDLED
from ..catalog.losses import CLASS_LOSSES, NUMBER_LOSSES, PROBABILITY_LOSSES
from ..contract.atomic import replacing
from ..contract.errors import Exit, FedsimError
from ..engines.federatedscope.course_facts import Tree
from ..engines.federatedscope.data_rules import SMALLEST_IMAGES
from ..spec.federatedscope_tree import FLAT_MODELS

# Samples for each participant; the server tests on its own.
_EACH = 40
# Words of a text: few, as a first run should be quick.
_TEXT = 20
_FEATURES = 20
_PIXELS = 32
# As few as those of digits, where the model takes such images: the fewer pixels, the smaller are many models.
_FEW_PIXELS = 8
# Classes, words and numbers of a sample: so many fit into a small file, and a model may have more.
_MOST = 1000
_DEFAULT = "digits"
# Of FederatedScope's data sets of images, those that are not 3 x 32 x 32, as it loads them.
_IMAGES = {"femnist": (1, 28, 28), "mnist": (1, 28, 28), "emnist": (1, 28, 28), "fashionmnist": (1, 28, 28)}


@dataclass(frozen=True)
class MadeUp:
    """Samples of ``shape`` that nobody measured.

    Attributes:
        count: how many samples there are.
        targets: how many numbers each label has; 0: it is one of ``classes``.
        words: samples are whole numbers below it; 0: they are normally distributed.
        probabilities: labels are 0 or 1.
    """

    count: int
    shape: tuple[int, ...]
    targets: int
    classes: int = 0
    words: int = 0
    probabilities: bool = False

    def __str__(self) -> str:
        size = " x ".join(map(str, self.shape))
        if self.words:
            kind = f"texts of {size} words, of a vocabulary of {self.words}"
        else:
            kind = f"rows of {size} numbers" if len(self.shape) == 1 else f"{size} numbers each"
        if self.classes:
            return f"{kind}, in {self.classes} classes"
        return f"{kind}, with {'one number' if self.targets == 1 else f'{self.targets} numbers'} as label"

    def arrays(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Samples and labels, always the same ones. There is something to learn from those that are not text."""
        rng, count = np.random.default_rng(0), self.count
        if self.words:
            x: npt.NDArray[Any] = rng.integers(0, self.words, (count, *self.shape))
        else:
            x = rng.normal(size=(count, *self.shape)).astype(np.float32)
        if self.classes:
            y: npt.NDArray[Any] = np.arange(count) % self.classes
            if not self.words:  # each class lies around a point of its own
                x += rng.normal(size=(self.classes, *self.shape)).astype(np.float32)[y]
            return x, y
        flat = x.reshape(count, -1) / max(1, self.words)
        y = flat @ rng.normal(size=(flat.shape[1], self.targets))
        if self.probabilities:
            y = y > 0
        return x, y.astype(np.float32)

    def write(self, path: Path) -> None:
        """Write an NPZ file.

        Raises:
            FedsimError: it cannot be written.
        """
        x, y = self.arrays()
        try:
            with replacing(path) as draft, draft.open("wb") as file:
                np.savez_compressed(file, x=x, y=y)
        except OSError as error:
            raise FedsimError(f"{path}: {error.strerror}", Exit.SPEC) from error


def stand_in(config: Mapping[str, Any], participants: int) -> str | MadeUp:
    """A bundled data set that the model of a configuration can train on, by its name; or samples made up for it.

    Where no data would help, as with a loss of the user's own, it is the usual set: the plan says what is wrong.
    """
    tree = Tree(config)
    model, loss = tree.text("model.type"), str(tree["criterion.type"])
    outputs = int(min(max(tree.number("model.out_channels"), 1), _MOST))
    classifies = loss in CLASS_LOSSES
    if model == "quadratic" or loss not in (*CLASS_LOSSES, *NUMBER_LOSSES) or (classifies and outputs == 1):
        return _DEFAULT
    pixels = max(_FEW_PIXELS, SMALLEST_IMAGES[model]) if model in SMALLEST_IMAGES else _PIXELS
    wanted = MadeUp(_EACH * participants, (3, pixels, pixels), 0 if classifies else outputs)
    if classifies:
        wanted = replace(wanted, classes=outputs)
    elif loss in PROBABILITY_LOSSES:
        wanted = replace(wanted, probabilities=True)
    if model == "lstm":
        return _sequences(tree, wanted)
    if model in FLAT_MODELS:
        wanted = replace(wanted, shape=(_FEATURES,))
    elif model not in SMALLEST_IMAGES:  # of the user's own: written for the images of the file, whatever they are
        return replace(wanted, shape=_IMAGES.get(tree.text("data.type").partition("@")[0].lower(), wanted.shape))
    return (_bundled(wanted, SMALLEST_IMAGES.get(model, 0)) if classifies else None) or wanted


def _sequences(tree: Tree, wanted: MadeUp) -> MadeUp:
    width = int(min(max(tree.number("model.in_channels"), 1), _MOST))
    if tree.number("model.embed_size") > 0:
        return replace(wanted, shape=(_TEXT,), words=width)
    return replace(wanted, shape=(_TEXT, width))


def _bundled(wanted: MadeUp, smallest: int) -> str | None:
    """The set with most classes of those with at most as many, in rows or images of at least ``smallest`` pixels."""
    rows = len(wanted.shape) == 1
    fitting = {
        name: len(facts.classes)
        for name, facts in BUNDLED.items()
        if facts.install is None
        and len(facts.classes) <= wanted.classes
        and (rows or (len(facts.shape) == 3 and min(facts.shape[1:]) >= smallest))
    }
    return max(fitting, key=fitting.__getitem__, default=None)
