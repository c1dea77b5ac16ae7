"""Each participant's share of a data set."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from .sources import Samples, load_samples
from .split import split_labels

# Of a client's samples: the rest is for training.
CLIENT_VAL_SHARE = 0.1
CLIENT_TEST_SHARE = 0.1


def make_shards(device_file: Mapping[str, Any]) -> tuple[dict[str, dict[str, Samples]], dict[str, dict[str, int]]]:
    """Splits by device, and the label table: what each client has of each class.

    Raises:
        ValueError: the data set is not known or too small for the clients.
    """
    data, clients = device_file["data"], device_file["clients"]
    samples = load_samples(data["dataset"])
    order = np.random.default_rng([data["seed"], 0]).permutation(len(samples.y))
    if not 0 < data["test_fraction"] < 1:
        raise ValueError(f"test_fraction must be between 0 and 1, not {data['test_fraction']}")
    held_out = max(1, round(len(order) * data["test_fraction"]))
    test, rest = samples.take(order[:held_out]), samples.take(order[held_out:])
    parts = split_labels(rest.y, len(clients), data["split"], data["alpha"], data["seed"])
    shards: dict[str, dict[str, Samples]] = {device_file["course"]["server"]: {"test": test}}
    labels = {}
    for number, (client, part) in enumerate(zip(clients, parts, strict=True)):
        own = rest.take(part)
        counts = zip(*np.unique(own.y, return_counts=True), strict=True)
        labels[client] = {str(label): int(count) for label, count in counts}
        shards[client] = _client_splits(own, np.random.default_rng([data["seed"], 2, number]))
    return shards, labels


def _client_splits(own: Samples, rng: np.random.Generator) -> dict[str, Samples]:
    order = rng.permutation(len(own.y))
    val = max(1, round(len(order) * CLIENT_VAL_SHARE))
    test = max(1, round(len(order) * CLIENT_TEST_SHARE))
    return {
        "train": own.take(order[val + test :]),
        "val": own.take(order[:val]),
        "test": own.take(order[val : val + test]),
    }


def as_npz(splits: Mapping[str, Samples]) -> bytes:
    """The splits as a NumPy archive: arrays ``<split>_x`` and ``<split>_y``."""
    arrays: dict[str, Any] = {}
    for name, samples in splits.items():
        arrays[f"{name}_x"], arrays[f"{name}_y"] = samples.x, samples.y
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()
