"""Splitting a data set into each participant's share."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..catalog.data_sets import FEDERATEDSCOPE, OWN_FILES
from ..spec.experiment import DataSource
from .bundled import load_bundled
from .label_split import split_labels
from .labelled_samples import DataSet, Part, Samples
from .object_shards import IN_BATCHES
from .own_files import OwnFiles, digest, load_own
from .problems import DataError, DataProblem
from .sample_counts import count_test_samples, split_sizes

Shards = dict[str, dict[str, Samples]]
NO_CLASSES = "dirichlet spreads classes, and the labels are numbers"


@dataclass(frozen=True)
class DataSplit:
    """``shards``: splits by device, the server first. ``classes``: their names; none where labels are targets.

    ``has_own_test_set``: the server's test set comes from the user's files and is not a fraction held out.
    """

    shards: Shards
    classes: tuple[str, ...]
    has_own_test_set: bool


def load_data(device_file: Mapping[str, Any]) -> DataSet:
    """Load the data set of a device file.

    Raises:
        ValueError: it is unknown or cannot be read, or the user's files have changed since the run was planned.
    """
    data = device_file["data"]
    if data["dataset"] not in OWN_FILES:
        return with_targets(load_bundled(data["dataset"]), data.get("targets", "classes"))
    files = OwnFiles.of(data, device_file["course"]["server"], device_file["clients"])
    return load_own(files, data["sha256"] or digest(files))


def with_targets(loaded: DataSet, targets: str) -> DataSet:
    """A bundled data set with its class numbers as numbers, where the loss compares numbers."""
    if targets != "numbers" or loaded.whole is None:
        return loaded
    own = loaded.whole.own
    return DataSet((), Part(Samples(own.x, own.y.astype(np.float32)[:, np.newaxis])))


def make_shards(device_file: Mapping[str, Any]) -> DataSplit:
    """Make every participant's splits, in the layout that the device file (see :mod:`fedsim_runner.inventory`) names.

    Raises:
        ValueError: the data set is unknown, cannot be read or is too small for the clients, or it is one that
            FederatedScope loads and splits.
    """
    data, server = device_file["data"], device_file["course"]["server"]
    if data["dataset"] == FEDERATEDSCOPE:
        raise ValueError(f"data set {data['tree']['type']} is unknown until FederatedScope has loaded it")
    fields = {name: data[name] for name in ("dataset", "split", "alpha", "test_fraction", "layout", "path")}
    return split_data(load_data(device_file), DataSource(**fields), data["seed"], server, device_file["clients"])


def split_data(loaded: DataSet, source: DataSource, seed: int, server: str, clients: Sequence[str]) -> DataSplit:
    """Split a data set among the clients and the server.

    Raises:
        ValueError: it is too small for the clients, or the split is unknown or does not fit it.
    """
    if source.split == "dirichlet" and not loaded.classes:
        raise ValueError(NO_CLASSES)
    if not 0 < source.test_fraction < 1:
        raise ValueError(f"test_fraction must be between 0 and 1, not {source.test_fraction}")
    split = _split_own_files if source.split == "files" else _split_whole
    shaped = in_layout(split(loaded, source, seed, server, clients), source.layout)
    central = loaded.by_device.get(server) if loaded.whole is None else loaded.whole.test
    return DataSplit(shaped, loaded.classes, central is not None)


def in_layout(shards: Shards, layout: str) -> Shards:
    """Bring every sample of the shards into one layout, see :meth:`.Samples.shaped`."""
    return {
        device: {name: samples.shaped(layout) for name, samples in splits.items()} for device, splits in shards.items()
    }


def count_labels(splits: Mapping[str, Samples], classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Count the samples of each class by split; classes without any are left out, and so are targets."""
    if not classes:
        return {name: {} for name in splits}
    counts = {name: np.bincount(samples.y, minlength=len(classes)).tolist() for name, samples in splits.items()}
    return {
        name: {label: count for label, count in zip(classes, found, strict=True) if count}
        for name, found in counts.items()
    }


def as_npz(splits: Mapping[str, Samples], in_batches: bool = False) -> bytes:
    """Write the splits as a NumPy archive: arrays ``<split>_x`` and ``<split>_y``.

    ``in_batches``: an empty array :data:`.IN_BATCHES` is added.
    """
    arrays: dict[str, Any] = {IN_BATCHES: np.empty(0)} if in_batches else {}
    for name, samples in splits.items():
        arrays[f"{name}_x"], arrays[f"{name}_y"] = samples.x, samples.y
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _split_whole(loaded: DataSet, source: DataSource, seed: int, server: str, clients: Sequence[str]) -> Shards:
    """Split one data set among all clients; the server's test set is held out first, unless the file contains one."""
    if loaded.whole is None:
        raise ValueError(f"split {source.split} needs one file for all, not one per device")
    rest, test = loaded.whole.own, loaded.whole.test
    if test is None:
        order = np.random.default_rng([seed, 0]).permutation(len(rest.y))
        cut = count_test_samples(len(order), source.test_fraction)
        rest, test = rest.take(order[cut:]), rest.take(order[:cut])
    parts = split_labels(rest.y, len(clients), source.split, source.alpha, seed)
    shards: Shards = {server: {"test": test}}
    for number, (client, part) in enumerate(zip(clients, parts, strict=True)):
        shards[client] = _client_splits(Part(rest.take(part)), _rng(seed, number))
    return shards


def _split_own_files(loaded: DataSet, source: DataSource, seed: int, server: str, clients: Sequence[str]) -> Shards:
    """Give each client its own file. If the server has none, each client gives up a share for the server's test set."""
    central = loaded.by_device.get(server)
    given: list[Samples] = []
    shards: Shards = {server: {}}
    problems = []
    for number, client in enumerate(clients):
        part, rng = loaded.by_device[client], _rng(seed, number)
        count = len(part.own.y)
        if central is None:
            order = rng.permutation(count)
            cut = count_test_samples(count, source.test_fraction)
            given.append(part.own.take(order[:cut]))
            part = Part(part.own.take(np.sort(order[cut:])), part.test)
        sizes = split_sizes(len(part.own.y), None if part.test is None else len(part.test.y))
        if min(sizes.values()) < 1:
            left = "" if central else f" after {count - len(part.own.y)} for the server's test set"
            file = f"{source.path}/{client}.{source.dataset}"
            needed = "one each for training, validation and test"
            problems.append(DataProblem(file, 0, f"has {len(part.own.y)} samples{left}; a client needs {needed}"))
            continue
        shards[client] = _client_splits(part, rng)
    if problems:
        raise DataError(problems)
    if central is None:
        shards[server]["test"] = Samples(
            np.concatenate([one.x for one in given]), np.concatenate([one.y for one in given])
        )
    else:
        shards[server]["test"] = central.own if central.test is None else central.test
    return shards


def _rng(seed: int, number: int) -> np.random.Generator:
    return np.random.default_rng([seed, 2, number])


def _client_splits(part: Part, rng: np.random.Generator) -> dict[str, Samples]:
    own = part.own
    order = rng.permutation(len(own.y))
    sizes = split_sizes(len(order), None if part.test is None else len(part.test.y))
    val, test = sizes["val"], sizes["test"] if part.test is None else 0
    return {
        "train": own.take(order[val + test :]),
        "val": own.take(order[:val]),
        "test": own.take(order[val : val + test]) if part.test is None else part.test,
    }
