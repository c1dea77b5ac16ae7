"""An experiment file after reading: what it means, and where it says so, for the checks that follow."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..catalog.federatedscope_keys import KeyPath
from ..yamlfile.document import Document
from ..yamlfile.spec_errors import SpecErrors
from .experiment import Experiment
from .federatedscope_tree import IMAGE_MODELS, model_type, tree_value


@dataclass(frozen=True)
class Draft:
    """An experiment as far as it can be understood from its file alone.

    Reading uses only the file. Whatever needs the user's data, an engine or the network is checked afterwards, by the
    modules that handle those; they report into the same documents, so that all mistakes are shown together.

    Attributes:
        experiment: the meaning of the file's valid parts. ``data.sha256`` is not known yet, and
            ``federatedscope_source`` is as written in the file.
        document: the experiment file.
        tree: FederatedScope's configuration, in the experiment file or in its own; None: it could not be read.
            Its mistakes are among the document's.
        devices_known: whether every device's name, role and count is valid, so that devices can be counted.
        by_default: whether the course is the default one, whose model takes the number of its outputs from the data.
        moved: older keys of FederatedScope's own file that are read as present ones.
    """

    experiment: Experiment
    document: Document
    tree: Document | None
    devices_known: bool
    by_default: bool = False
    moved: Mapping[KeyPath, KeyPath] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where relative paths in the file start."""
        return Path(self.document.file).parent

    def is_sound(self, section: str) -> bool:
        """Whether a section of the file has no known mistake."""
        # FederatedScope's file may have a section of the same name.
        other = None if self.tree is None or self.tree.file == self.document.file else self.tree.file
        return not any(error.file != other and re.match(rf"{section}\b", error.path) for error in self.document.errors)

    def written(self, *path: str) -> Any:
        """The value that the file itself gives at a path; None: the default applies."""
        return self.document.get(path)

    def configured(self, section: str, key: str) -> Any:
        """A value of FederatedScope's configuration; None: it is not set."""
        return tree_value(self.tree, section, key)

    @property
    def model(self) -> str:
        """The model's type as FederatedScope compares it, in lower case."""
        return model_type(self.tree)

    @property
    def model_takes_images(self) -> bool:
        """Whether the model is known to need images of shape (channels, height, width)."""
        return self.model in IMAGE_MODELS

    def report(self, path: Sequence[str], message: str, hint: str | None = None, topic: str = "") -> None:
        """Report a mistake at a path of the experiment file; ``topic`` as in ``SpecError``."""
        self.document.report(path, message, hint, topic)

    def report_in_tree(self, path: Sequence[str], message: str, hint: str | None = None, topic: str = "") -> None:
        """Report a mistake at a path of FederatedScope's configuration, if that could be read."""
        if self.tree is not None:
            self.tree.report(path, message, hint, topic)

    def finish(self) -> Experiment:
        """Return the experiment, once everything is checked.

        Raises:
            SpecErrors: all mistakes together.
        """
        if self.document.errors:
            raise SpecErrors(self.document.errors)
        return self.experiment
