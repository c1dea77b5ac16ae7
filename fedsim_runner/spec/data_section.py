"""The `data` section of an experiment file: which keys fit together, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from ..catalog.data_sets import BUNDLED, FEDERATEDSCOPE, OWN_FILES
from ..catalog.losses import CLASS_LOSSES, NUMBER_LOSSES, PROBABILITY_LOSSES
from ..yamlfile.document import Document
from .experiment import DataSource
from .federatedscope_tree import FLAT_MODELS, IMAGE_MODELS, KEPT_MODELS, model_type, tree_value
from .schema import DataSection
from .testbed_keys import FILES_OF_THE_USER

DEFAULT_ALPHA = 0.5


def take_data_tree(
    section: DataSection, values: dict[str, Any], tree: Document, folder: Path, own_files: bool = False
) -> dict[str, Any] | None:
    """For data set `federatedscope`, take FederatedScope's own `data` out of its configuration.

    Only its loader needs that: participants get their share from a file. ``root`` becomes an absolute path.
    ``own_files``: every client has a file of its own.
    """
    given = values.get("data")
    if section.dataset != FEDERATEDSCOPE or not isinstance(given, dict | None):
        return None
    given = dict(given or {})
    values.pop("data", None)
    kind = given.get("type")
    if not isinstance(kind, str) or not kind.strip():
        message = "missing key"
        if kind is not None and not isinstance(kind, str):
            message = "must be text"
        elif kind is not None:
            message = "is empty: that is for a server without data, and clients need some"
        tree.report(("data", "type"), message, "name a data set, for instance toy, femnist or MNIST@torchvision")
        return None
    is_file = kind.lower() == "file"
    if is_file and not given.get("file_path") and not own_files:
        hint = f"it names FederatedScope's file with the data of all participants; {FILES_OF_THE_USER}"
        tree.report(("data", "file_path"), "missing key", hint)
        return None
    for key, default in (("root", "data"), ("file_path", None)):
        if default is None and not is_file:
            continue
        value = given.get(key, default)
        if key == "file_path" and not value:
            given.pop(key, None)  # the server has none
            continue
        if not isinstance(value, str):
            tree.report(("data", key), "must be text")
            return None
        given[key] = make_absolute(value, folder)
        if given[key] is None:
            tree.report(("data", key), "is not a path")
    return given


def make_absolute(path: str, folder: Path) -> str | None:
    """Make a path absolute from ``folder``; None: it is not a path (a null character, the home of an unknown user)."""
    try:
        return str((folder / Path(path).expanduser()).resolve())
    except (ValueError, RuntimeError, OSError):
        return None


class DataSectionReader:
    """Interprets a file's `data` section; everything wrong with it is reported in its document.

    Args:
        section: the valid part of it.
        document: the experiment file.
        tree: FederatedScope's configuration; None: it could not be read.
        folder: where relative paths start.
    """

    def __init__(self, section: DataSection, document: Document, tree: Document | None, folder: Path) -> None:
        self._section = section
        self._document = document
        self._tree = tree
        self._folder = folder

    def source(self, real: bool) -> DataSource:
        """Build the data source. ``real``: whether FederatedScope itself runs on one of the devices."""
        section = self._section
        self._check_keys()
        path = None if section.path is None else make_absolute(section.path, self._folder)
        if section.path is not None and path is None:
            self._report("path", "is not a path")
        return DataSource(
            dataset=section.dataset,
            split=section.split,
            alpha=DEFAULT_ALPHA if section.alpha is None else float(section.alpha),
            test_fraction=float(section.test_fraction),
            layout=self._choose_layout(real),
            targets=self._choose_targets(),
            path=path,
            label=str(section.label) if isinstance(section.label, str) else section.label,
            header=section.header,
        )

    def _check_keys(self) -> None:
        section, given = self._section, self._section.model_fields_set
        own = section.dataset in OWN_FILES
        splits_itself = section.dataset == FEDERATEDSCOPE
        if section.alpha is not None and not splits_itself and section.split not in ("dirichlet", "quantity"):
            hint = "write split: dirichlet or quantity, or remove it"
            self._report("alpha", f"means nothing with split: {section.split}", hint)
        if own and section.path is None:
            what = "a folder with one file per device" if section.split == "files" else "the path of your file"
            self._report("path", "missing key", f"dataset: {section.dataset} needs {what}")
        for key, kinds in (("path", OWN_FILES), ("label", ("csv",)), ("header", ("csv",)), ("targets", OWN_FILES)):
            if key in given and section.dataset not in kinds:
                self._report(key, f"means nothing with dataset: {section.dataset}", "remove it")
        if splits_itself:
            for key in ("split", "alpha", "test_fraction"):
                if key in given:
                    hint = "see splitter, splitter_args and splits in federatedscope.config.data"
                    self._report(key, "means nothing with dataset: federatedscope, which FederatedScope splits", hint)
        elif section.split == "files" and not own:
            hint = "write dataset: csv or npz"
            self._report("split", f"files needs files of your own, but dataset is {section.dataset}", hint)
        if section.header is False and isinstance(section.label, str):
            self._report(
                "label", "is a name, but header: false says that there are no names", "give the column's number"
            )

    def _choose_layout(self, real: bool) -> Literal["flat", "image", "kept"]:
        section, model = self._section, model_type(self._tree)
        layout = section.layout
        if layout == "auto":
            layout = self._fitting_layout(model)
        elif layout == "flat" and model in (*IMAGE_MODELS, *KEPT_MODELS):
            takes = "images" if model in IMAGE_MODELS else "samples in their own shape"
            self._report("layout", f"flat does not fit model {model}, which takes {takes}", "remove it")
        elif layout != "flat" and model in FLAT_MODELS and real:
            message = f"{layout} does not fit FederatedScope's {model}, which takes one row of numbers per sample"
            self._report("layout", message, "remove it")
        facts = BUNDLED.get(section.dataset)
        if section.dataset == "csv" or (facts is not None and len(facts.shape) == 1):
            if section.layout == "image":
                self._report("layout", f"{section.dataset} has rows of numbers, not images", "remove it")
            elif model in IMAGE_MODELS:
                self._report_no_images(f"{section.dataset} has rows of numbers")
            return "kept" if layout == "kept" else "flat"
        return layout

    def _fitting_layout(self, model: str) -> Literal["flat", "image", "kept"]:
        if model in FLAT_MODELS:
            return "flat"
        # FederatedScope's own loaders give samples the shape that their models take.
        loaded = self._section.dataset == FEDERATEDSCOPE and model not in IMAGE_MODELS
        return "kept" if model in KEPT_MODELS or loaded else "image"

    def _choose_targets(self) -> Literal["auto", "classes", "numbers"]:
        section, loss = self._section, tree_value(self._tree, "criterion", "type")
        if section.dataset in BUNDLED:
            two = len(BUNDLED[section.dataset].classes) == 2
            return "numbers" if two and loss in PROBABILITY_LOSSES else "classes"
        if section.targets != "auto" or section.dataset not in OWN_FILES:
            return section.targets
        if loss in NUMBER_LOSSES:
            return "numbers"
        return "classes" if loss in CLASS_LOSSES else "auto"

    def _report_no_images(self, why: str) -> None:
        if self._tree is not None:
            self._tree.report(("model", "type"), f"{model_type(self._tree)} takes images, but {why}")

    def _report(self, key: str, message: str, hint: str | None = None) -> None:
        self._document.report(("data", key), message, hint)
