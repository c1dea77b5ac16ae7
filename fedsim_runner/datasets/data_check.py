"""Checks that the data set of an experiment file exists, can be read, and fits the devices and the model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..catalog.data_sets import BUNDLED, OWN_FILES
from ..catalog.losses import CLASS_LOSSES, PROBABILITY_LOSSES
from ..spec.default_course import with_outputs
from ..spec.draft import Draft
from ..spec.experiment import DataSource
from ..yamlfile.spec_errors import SpecError
from .packages import missing_package
from .problems import DataError
from .sample_counts import count_test_samples, explain_too_few


def check_data(draft: Draft) -> Draft:
    """Check the data set and return the draft with the digest of the user's files, and the default course for its
    classes. Mistakes are reported in the draft.

    If the `data` section has mistakes, nothing is checked: invalid keys have been replaced by their defaults.
    """
    data, clients = draft.experiment.data, [device.name for device in draft.experiment.clients]
    classes: int | None = None
    if not draft.is_sound("data"):
        return draft
    if data.dataset in BUNDLED:
        classes = _check_bundled(draft, len(clients) if draft.devices_known else None)
    elif data.dataset in OWN_FILES and draft.devices_known:
        servers = [device.name for device in draft.experiment.devices if device.role == "server"]
        if servers:
            data, classes = _with_own_files(draft, servers[0], clients)
    elif data.tree is not None and str(data.tree["type"]).lower() == "file":
        data = _with_digest(data)
    config = draft.experiment.config
    if draft.by_default and classes is not None:
        config = with_outputs(config, classes)
    return replace(draft, experiment=replace(draft.experiment, data=data, config=config))


def _check_bundled(draft: Draft, clients: int | None) -> int:
    """Return the number of classes."""
    name = draft.experiment.data.dataset
    facts = BUNDLED[name]
    install = missing_package(name)
    if install:
        _report(draft, "dataset", f"{name} comes with the package {facts.package}, which is missing", install)
    rest = facts.samples - count_test_samples(facts.samples, draft.experiment.data.test_fraction)
    wrong = None if clients is None else explain_too_few(rest, clients)
    if wrong:
        key = "dataset" if draft.written("data", "dataset") is not None else ""
        _report(draft, key, f"{name} has {facts.samples} samples; without the server's test set, {wrong}")
    _check_classes(draft, len(facts.classes))
    if draft.experiment.data.targets == "numbers" and draft.experiment.data.split == "dirichlet":
        hint = "write iid or quantity, or criterion: {type: CrossEntropyLoss}"
        _report(draft, "split", f"dirichlet spreads classes, and {draft.configured('criterion', 'type')} numbers", hint)
    return len(facts.classes)


def _with_own_files(draft: Draft, server: str, clients: Sequence[str]) -> tuple[DataSource, int | None]:
    """Return the source with the files' digest, and the number of classes; None: they are unknown, or none."""
    # Not imported above: numpy is only needed for the user's files.
    from .data_split import NO_CLASSES, split_data
    from .own_files import OwnFiles, digest, load_own

    source = draft.experiment.data
    devices = (server, *clients) if source.split == "files" else ()
    # Messages name the files as the experiment file does.
    shown = str(draft.folder / Path(str(draft.written("data", "path"))).expanduser())
    kept = source.layout == "kept"
    files = OwnFiles(
        source.dataset, str(source.path), source.label, source.header, devices, source.targets, kept, shown
    )
    try:
        source = replace(source, sha256=digest(files))
        loaded = load_own(files, str(source.sha256))
        if draft.by_default and not loaded.classes:
            _check_default_course(draft)
        if source.split == "dirichlet" and not loaded.classes:
            _report(draft, "split", NO_CLASSES, "write iid or quantity")
            return source, None
        split = split_data(loaded, replace(source, path=shown), draft.experiment.seed, server, list(clients))
    except DataError as error:
        _report_files(draft, error)
        return source, None
    except OSError as error:
        _report(draft, "path", f"cannot be read: {error.strerror}")
        return source, None
    except ValueError as error:
        _report(draft, "path", str(error))
        return source, None
    if split.has_own_test_set and draft.written("data", "test_fraction") is not None:
        message = "means nothing: your files include the server's test set"
        _report(draft, "test_fraction", message, "remove it")
    _check_shape(draft, split.shards[server]["test"].x.shape[1:])
    _check_classes(draft, len(loaded.classes))
    loss = draft.configured("criterion", "type")
    if not loaded.classes and loss in PROBABILITY_LOSSES:
        targets = [part.y for splits in split.shards.values() for part in splits.values()]
        if min(one.min() for one in targets) < 0 or max(one.max() for one in targets) > 1:
            key = "label" if source.dataset == "csv" and source.label is not None else "path"
            _report(draft, key, f"{loss} takes labels between 0 and 1, and here are others")
    return source, len(loaded.classes) or None


def _check_default_course(draft: Draft) -> None:
    """Report labels to regress, of which the file itself names no loss that would be wrong."""
    if draft.configured("criterion", "type") not in CLASS_LOSSES:  # options may give another
        return
    written = draft.written("data", "targets") is not None
    course = "a course of your own as federatedscope.config, with criterion: {type: MSELoss}"
    message = "the labels are numbers to regress, and the default course classifies"
    hint = f"write classes, or {course}" if written else f"write {course}"
    _report(draft, "targets" if written else "path", message, hint)


def _with_digest(data: DataSource) -> DataSource:
    """The source with the digest of FederatedScope's files; as it is if one cannot be read, which a plan refuses."""
    own = (part.get("data", {}).get("file_path") for part in data.parts.values())
    paths = sorted({path for path in ((data.tree or {}).get("file_path"), *own) if path})
    try:
        content = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths]
    except (OSError, ValueError):
        return data
    return replace(data, sha256=hashlib.sha256("".join(content).encode()).hexdigest())


def _check_shape(draft: Draft, shape: tuple[int, ...]) -> None:
    wants_images = draft.model_takes_images or draft.written("data", "layout") == "image"
    if draft.experiment.data.layout != "image" or not wants_images:
        return
    if len(shape) != 3:
        message = f"samples have the shape {shape}; images are (channels, height, width) or (height, width)"
        _report(draft, "path", message)
    elif shape[0] not in (1, 3, 4) and shape[2] in (1, 3, 4):
        message = f"samples have the shape {shape}; images are (channels, height, width)"
        _report(draft, "path", message, "numpy's x.transpose(0, 3, 1, 2) puts the channels first")


def _check_classes(draft: Draft, classes: int) -> None:
    outputs = draft.configured("model", "out_channels")
    # Other losses interpret outputs differently.
    if draft.configured("criterion", "type") != "CrossEntropyLoss":
        return
    if type(outputs) is int and outputs < classes:
        message = f"{outputs} outputs are too few for the {classes} classes of {draft.experiment.data.dataset}"
        draft.report_in_tree(("model", "out_channels"), message, f"write {classes}")


def _report_files(draft: Draft, error: DataError) -> None:
    """Report the problems of data files, those that a key under `data` caused at that key."""
    for problem in error.problems:
        if problem.key is None:
            draft.document.errors.append(SpecError(problem.file, problem.line, 0, "", problem.message, problem.hint))
        else:
            where = f"{problem.file}:{problem.line}" if problem.line else problem.file
            _report(draft, problem.key, f"{where}: {problem.message}", problem.hint)


def _report(draft: Draft, key: str, message: str, hint: str | None = None) -> None:
    draft.report(("data", key) if key else ("data",), message, hint)
