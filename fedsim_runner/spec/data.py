"""The `data` part of an experiment file: what fits together, and whether the user's files can be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..datasets.facts import BUNDLED, FEDERATEDSCOPE, OWN_FILES, held_out, too_few
from ..yamlfile.document import Document
from ..yamlfile.errors import SpecError
from .experiment import DataSource
from .federatedscope_tree import FILES_OF_THE_USER
from .schema import DataSection

DEFAULT_ALPHA = 0.5
# FederatedScope's models that take rows, and those that take images of (channels, height, width).
FLAT_MODELS = ("lr", "mlp")
IMAGE_MODELS = ("convnet2", "convnet5", "vgg11")


def take_data_tree(section: DataSection, values: dict[str, Any], tree: Document, folder: Path) -> dict[str, Any] | None:
    """For data set `federatedscope`, take FederatedScope's own `data` out of its configuration.

    It is for its loader alone: participants get their share from a file. ``root`` becomes an absolute path.
    """
    given = values.get("data")
    if section.dataset != FEDERATEDSCOPE or not isinstance(given, dict | None):
        return None
    given = dict(given or {})
    values.pop("data", None)
    kind = given.get("type")
    if not isinstance(kind, str) or not kind.strip() or kind == "file":
        said = "missing key" if kind is None else "names no data set of FederatedScope's"
        mend = "one of FederatedScope's, femnist or MNIST@torchvision for instance"
        tree.report(("data", "type"), said, f"{mend}; {FILES_OF_THE_USER}" if kind == "file" else mend)
        return None
    for key in ("file_path", "root"):
        if key in given and (key == "file_path" or not isinstance(given[key], str)):
            tree.report(("data", key), "means nothing here" if key == "file_path" else "must be text")
            return None
    root = _absolute(given.get("root", "data"), folder)
    if root is None:
        tree.report(("data", "root"), "is no path")
    return {**given, "root": root}


def _absolute(path: str, folder: Path) -> str | None:
    """A path that starts at ``folder``; None: it can be none (a null character, the home of an unknown user)."""
    try:
        return str((folder / Path(path).expanduser()).resolve())
    except (ValueError, RuntimeError, OSError):
        return None


class DataCheck:
    """Checks of one file's `data` section; everything wrong is reported in its document.

    Args:
        section: as far as it validated.
        document: the experiment file.
        tree: FederatedScope's configuration; None: it could not be read.
        folder: where relative paths start.
    """

    def __init__(self, section: DataSection, document: Document, tree: Document | None, folder: Path) -> None:
        self._section = section
        self._document = document
        self._tree = tree
        self._folder = folder
        # What was given wrongly is at its default here, and says nothing.
        self._sound = not any(error.path.startswith("data") for error in document.errors)

    def source(self, seed: int, server: str | None, clients: Sequence[str] | None, real: bool) -> DataSource:
        """What the section means. ``server`` and ``clients``: the devices' names; None: not known.

        ``real``: whether FederatedScope itself runs one of the devices.
        """
        section = self._section
        self._check_keys()
        path = None if section.path is None else _absolute(section.path, self._folder)
        if section.path is not None and path is None:
            self._report("path", "is no path")
        source = DataSource(
            dataset=section.dataset,
            split=section.split,
            alpha=DEFAULT_ALPHA if section.alpha is None else float(section.alpha),
            test_fraction=float(section.test_fraction),
            layout=self._layout(real),
            path=path,
            label=str(section.label) if isinstance(section.label, str) else section.label,
            header=section.header,
        )
        if not self._sound or any(error.path.startswith("data") for error in self._document.errors):
            return source
        if section.dataset in BUNDLED:
            self._check_bundled(len(clients) if clients is not None else None)
        elif section.dataset == FEDERATEDSCOPE:
            self._check_interpreter()
        elif server is not None and clients is not None:
            source = self._with_own_files(source, seed, server, clients)
        return source

    def _check_keys(self) -> None:
        section, given = self._section, self._section.model_fields_set
        own = section.dataset in OWN_FILES
        splits_itself = section.dataset == FEDERATEDSCOPE
        if section.alpha is not None and not splits_itself and section.split not in ("dirichlet", "quantity"):
            mend = "write split: dirichlet or quantity, or remove it"
            self._report("alpha", f"means nothing with split: {section.split}", mend)
        if own and section.path is None:
            what = "the folder with one file per device" if section.split == "files" else "your file"
            self._report("path", "missing key", f"dataset: {section.dataset} needs {what}")
        for key, kinds in (("path", OWN_FILES), ("label", ("csv",)), ("header", ("csv",))):
            if key in given and section.dataset not in kinds:
                self._report(key, f"means nothing with dataset: {section.dataset}", "remove it")
        if splits_itself:
            for key in ("split", "alpha", "test_fraction"):
                if key in given:
                    mend = "see splitter, splitter_args and splits in federatedscope.config.data"
                    self._report(key, "means nothing with dataset: federatedscope, which splits its own", mend)
        elif section.split == "files" and not own:
            mend = "write dataset: csv or npz"
            self._report("split", f"files needs files of yours, and dataset is {section.dataset}", mend)
        if section.header is False and isinstance(section.label, str):
            self._report("label", "is a name, and header: false says that there are none", "give the column's number")

    def _layout(self, real: bool) -> Any:
        section, model = self._section, self._model()
        asked = section.layout
        if asked == "auto":
            asked = "flat" if model in FLAT_MODELS else "image"
        elif asked == "flat" and model in IMAGE_MODELS:
            self._report("layout", f"flat does not fit model {model}, which takes images", "remove it")
        elif asked == "image" and model in FLAT_MODELS and real:
            said = f"image does not fit FederatedScope's {model}, which takes one row of numbers per sample"
            self._report("layout", said, "remove it")
        facts = BUNDLED.get(section.dataset)
        if section.dataset == "csv" or (facts is not None and len(facts.shape) == 1):
            if section.layout == "image":
                self._report("layout", f"{section.dataset} has rows of numbers, no images", "remove it")
            elif model in IMAGE_MODELS:
                self._no_images(f"{section.dataset} has rows of numbers")
            return "flat"
        return asked

    def _check_bundled(self, clients: int | None) -> None:
        from ..datasets.packages import missing_package

        section, facts = self._section, BUNDLED[self._section.dataset]
        install = missing_package(section.dataset)
        if install:
            self._report("dataset", f"{section.dataset} comes with the package {facts.package}", install)
        rest = facts.samples - held_out(facts.samples, section.test_fraction)
        wrong = None if clients is None else too_few(rest, clients)
        if wrong:
            key = "dataset" if "dataset" in section.model_fields_set else ""
            said = f"{section.dataset} has {facts.samples} samples, without the server's test set {wrong}"
            self._report(key, said)
        self._check_classes(len(facts.classes))

    def _check_interpreter(self) -> None:
        from ..datasets.federatedscope_sets import missing_interpreter

        wrong = missing_interpreter()
        if wrong:
            self._report(
                "dataset",
                f"FederatedScope loads it, and {wrong}",
                "see federatedscope.python of the user configuration",
            )

    def _with_own_files(self, source: DataSource, seed: int, server: str, clients: Sequence[str]) -> DataSource:
        # Here and not above: numpy is only needed for the user's files.
        from ..datasets.own import OwnFiles, digest, load_own
        from ..datasets.problems import DataError
        from ..datasets.shards import split_data

        devices = (server, *clients) if source.split == "files" else ()
        files = OwnFiles(source.dataset, str(source.path), source.label, source.header, devices)
        try:
            source = replace(source, sha256=digest(files))
            loaded = load_own(files, str(source.sha256))
            dealt = split_data(loaded, source, seed, server, list(clients))
        except DataError as error:
            self._tell(error, str(source.path))
            return source
        except OSError as error:
            self._report("path", f"cannot be read: {error.strerror}")
            return source
        except ValueError as error:
            self._report("path", str(error))
            return source
        if dealt.brings_test and "test_fraction" in self._section.model_fields_set:
            said = "means nothing: your files bring the server's test set"
            self._report("test_fraction", said, "remove it")
        shape = dealt.shards[server]["test"].x.shape[1:]
        wants_images = self._model() in IMAGE_MODELS or self._section.layout == "image"
        if source.layout == "image" and wants_images and len(shape) != 3:
            said = f"samples have the shape {shape}; images are (channels, height, width) or (height, width)"
            self._report("path", said)
        elif source.layout == "image" and wants_images and shape[0] not in (1, 3, 4) and shape[2] in (1, 3, 4):
            said = f"samples have the shape {shape}; images are (channels, height, width)"
            self._report("path", said, "numpy's x.transpose(0, 3, 1, 2) puts the channels first")
        self._check_classes(len(loaded.classes))
        return source

    def _tell(self, error: Any, path: str) -> None:
        """Problems of data files, with the files named as the experiment file names them."""
        shown = str(self._folder / Path(str(self._section.path)).expanduser())
        for problem in error.problems:
            file = shown + problem.file.removeprefix(path) if problem.file.startswith(path) else problem.file
            message = problem.message.replace(path, shown)
            if problem.key is None:
                self._document.errors.append(SpecError(file, problem.line, 0, "", message, problem.mend))
            else:
                where = f"{file}:{problem.line}" if problem.line else file
                self._report(problem.key, f"{where}: {message}", problem.mend)

    def _check_classes(self, classes: int) -> None:
        outputs = self._key("model", "out_channels")
        # Other losses than this one read outputs in other ways.
        if self._key("criterion", "type") != "CrossEntropyLoss":
            return
        if self._tree is not None and type(outputs) is int and outputs < classes:
            said = f"{outputs} outputs cannot tell {classes} classes of {self._section.dataset} apart"
            self._tree.report(("model", "out_channels"), said, f"write {classes}")

    def _no_images(self, why: str) -> None:
        if self._tree is not None:
            self._tree.report(("model", "type"), f"{self._model()} takes images, and {why}")

    def _model(self) -> str:
        """The model's type in lower case, as FederatedScope compares it; its default is lr."""
        kind = self._key("model", "type")
        return kind.lower() if isinstance(kind, str) else "lr"

    def _key(self, section: str, key: str) -> Any:
        values = self._tree.value().get(section) if self._tree is not None else None
        return values.get(key) if isinstance(values, dict) else None

    def _report(self, key: str, message: str, mend: str | None = None) -> None:
        self._document.report(("data", key) if key else ("data",), message, mend)
