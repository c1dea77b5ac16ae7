"""Whether the data set of an experiment file is there, can be read, and fits the devices and the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..catalog.data_sets import BUNDLED, OWN_FILES
from ..spec.draft import Draft
from ..spec.experiment import DataSource
from ..yamlfile.spec_errors import SpecError
from .packages import missing_package
from .problems import DataError
from .sample_counts import count_test_samples, explain_too_few


def check_data(draft: Draft) -> Draft:
    """Look into the data set; the draft with the digest of the user's files. What is wrong is reported in the draft.

    Nothing is said about data whose section has mistakes: what was given wrongly is at its default there.
    """
    data, clients = draft.experiment.data, [device.name for device in draft.experiment.clients]
    if not draft.is_sound("data"):
        return draft
    if data.dataset in BUNDLED:
        _check_bundled(draft, len(clients) if draft.devices_known else None)
    elif data.dataset in OWN_FILES and draft.devices_known:
        servers = [device.name for device in draft.experiment.devices if device.role == "server"]
        if servers:
            data = _with_own_files(draft, servers[0], clients)
    return replace(draft, experiment=replace(draft.experiment, data=data))


def _check_bundled(draft: Draft, clients: int | None) -> None:
    name = draft.experiment.data.dataset
    facts = BUNDLED[name]
    install = missing_package(name)
    if install:
        _report(draft, "dataset", f"{name} comes with the package {facts.package}", install)
    rest = facts.samples - count_test_samples(facts.samples, draft.experiment.data.test_fraction)
    wrong = None if clients is None else explain_too_few(rest, clients)
    if wrong:
        key = "dataset" if draft.written("data", "dataset") is not None else ""
        _report(draft, key, f"{name} has {facts.samples} samples, without the server's test set {wrong}")
    _check_classes(draft, len(facts.classes))


def _with_own_files(draft: Draft, server: str, clients: Sequence[str]) -> DataSource:
    # Here and not above: numpy is only needed for the user's files.
    from .data_split import split_data
    from .own_files import OwnFiles, digest, load_own

    source = draft.experiment.data
    devices = (server, *clients) if source.split == "files" else ()
    files = OwnFiles(source.dataset, str(source.path), source.label, source.header, devices)
    try:
        source = replace(source, sha256=digest(files))
        loaded = load_own(files, str(source.sha256))
        split = split_data(loaded, source, draft.experiment.seed, server, list(clients))
    except DataError as error:
        _report_files(draft, error, str(source.path))
        return source
    except OSError as error:
        _report(draft, "path", f"cannot be read: {error.strerror}")
        return source
    except ValueError as error:
        _report(draft, "path", str(error))
        return source
    if split.has_own_test_set and draft.written("data", "test_fraction") is not None:
        said = "means nothing: your files bring the server's test set"
        _report(draft, "test_fraction", said, "remove it")
    _check_shape(draft, split.shards[server]["test"].x.shape[1:])
    _check_classes(draft, len(loaded.classes))
    return source


def _check_shape(draft: Draft, shape: tuple[int, ...]) -> None:
    wants_images = draft.model_takes_images or draft.written("data", "layout") == "image"
    if draft.experiment.data.layout != "image" or not wants_images:
        return
    if len(shape) != 3:
        said = f"samples have the shape {shape}; images are (channels, height, width) or (height, width)"
        _report(draft, "path", said)
    elif shape[0] not in (1, 3, 4) and shape[2] in (1, 3, 4):
        said = f"samples have the shape {shape}; images are (channels, height, width)"
        _report(draft, "path", said, "numpy's x.transpose(0, 3, 1, 2) puts the channels first")


def _check_classes(draft: Draft, classes: int) -> None:
    outputs = draft.configured("model", "out_channels")
    # Other losses than this one read outputs in other ways.
    if draft.configured("criterion", "type") != "CrossEntropyLoss":
        return
    if type(outputs) is int and outputs < classes:
        said = f"{outputs} outputs cannot tell {classes} classes of {draft.experiment.data.dataset} apart"
        draft.report_in_tree(("model", "out_channels"), said, f"write {classes}")


def _report_files(draft: Draft, error: DataError, path: str) -> None:
    """Problems of data files, with the files named as the experiment file names them."""
    shown = str(draft.folder / Path(str(draft.written("data", "path"))).expanduser())
    for problem in error.problems:
        file = shown + problem.file.removeprefix(path) if problem.file.startswith(path) else problem.file
        message = problem.message.replace(path, shown)
        if problem.key is None:
            draft.document.errors.append(SpecError(file, problem.line, 0, "", message, problem.hint))
        else:
            where = f"{file}:{problem.line}" if problem.line else file
            _report(draft, problem.key, f"{where}: {message}", problem.hint)


def _report(draft: Draft, key: str, message: str, hint: str | None = None) -> None:
    draft.report(("data", key) if key else ("data",), message, hint)
