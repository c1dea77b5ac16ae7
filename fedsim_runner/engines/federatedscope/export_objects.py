"""Each participant's part of the data as FederatedScope makes it: the half of ``export_program.py`` for such data.

Loaded by that program in the user's interpreter: nothing of fedsim-runner is imported. An object is a mapping::

    {"data": {"train": ..., "val": ..., "test": ..., "rest": {...}, "random": ...}  what FederatedScope's ClientData
                                                                        is made of, and NumPy's random numbers then
             | {"whole": ...}                                           what a loader of its own made, as it is
             | {"shape": (...)}                                         a server without data: the shape for its model
     "config": [["model.num_user", 40], ...]}                           what the loader set in the configuration

``<index>.npz`` has two arrays of bytes: ``object``, pickled, and ``facts``, JSON with ``sizes`` and ``reason``.
"""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

SPLITS = ("train", "val", "test")
# What the testbed sets, or has no meaning on a device.
_OF_THE_TESTBED = ("federate.client_num", "federate.mode", "use_gpu", "seed", "outdir", "dataloader.type")
# What FederatedScope's configuration keeps of itself among its keys.
_OF_ITSELF = ("is_ready_for_run", "help_info")
_OF_THIS_MACHINE = ("data.root", "data.file_path", "data.cache_dir")


def write_objects(
    loaded: Mapping[int, Any], configs: tuple[Any, Any], folder: Path, reason: str, evaluates: bool
) -> None:
    """Write the parts of the server and of all clients.

    Args:
        loaded: FederatedScope's data by participant.
        configs: the configuration before and after loading.
        folder: where to write them.
        reason: why they are not arrays.
        evaluates: whether the server evaluates.
    """
    changed = _changes(*configs)
    client_num = configs[0].federate.client_num
    missing = [index for index in range(1, client_num + 1) if not loaded.get(index)]
    if missing:
        raise SystemExit(f"the data set has data for {client_num - len(missing)} clients, not for {client_num}")
    if not loaded.get(0) and evaluates:
        raise SystemExit("the data set has nothing for the server to evaluate: write federate.make_global_eval: false")
    for index in range(client_num + 1):
        part = loaded.get(index)
        own = _part(part) if part else {"shape": _shape(loaded[1], configs[1])}
        try:
            pickled = pickle.dumps({"data": own, "config": changed}, protocol=4)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise SystemExit(f"the data of participant {index} cannot be written to a file: {error}") from error
        facts = json.dumps({"sizes": _sizes(own), "reason": reason}).encode()
        arrays: Any = {"object": np.frombuffer(pickled, np.uint8), "facts": np.frombuffer(facts, np.uint8)}
        np.savez_compressed(folder / f"{index}.npz", **arrays)


def note_random_numbers() -> None:
    """Note where NumPy's random numbers are as each ``ClientData`` is made: its loader of ratings draws an order."""
    kind = import_module("federatedscope.core.data.base_data").ClientData
    make = kind.__init__

    def noted(self: Any, *arguments: Any, **options: Any) -> None:
        self.random_numbers = np.random.get_state()
        make(self, *arguments, **options)

    kind.__init__ = noted


def _part(part: Any) -> dict[str, Any]:
    """What ``ClientData`` was made of: data loaders are made anew on the device, with its settings."""
    if not hasattr(part, "train_data"):
        return {"whole": part}
    splits = {name: _own(getattr(part, f"{name}_data")) for name in SPLITS}
    rest = {key: value for key, value in part.items() if key not in SPLITS}
    return {**splits, "rest": rest, "random": getattr(part, "random_numbers", None)}


def _own(samples: Any) -> Any:
    """Of a part of one of torchvision's sets, only that part; otherwise each device would get the whole set."""
    subset = import_module("torch.utils.data").Subset
    indices, whole = None, samples
    while isinstance(whole, subset):
        indices = list(whole.indices) if indices is None else [whole.indices[index] for index in indices]
        whole = whole.dataset
    named = ("data", "targets")
    if indices is None or not type(whole).__module__.startswith("torchvision.") or not _are_parallel(whole, named):
        return samples
    own = copy.copy(whole)
    for name in named:
        values = getattr(whole, name)
        setattr(own, name, [values[index] for index in indices] if isinstance(values, list) else values[indices])
    return own


def _are_parallel(whole: Any, names: tuple[str, ...]) -> bool:
    return all(hasattr(whole, name) and len(getattr(whole, name)) == len(whole) for name in names)


def _shape(representative: Any, config: Any) -> tuple[Any, ...]:
    """What a server without data needs for its model, from a client's data, as in standalone mode."""
    builder = import_module("federatedscope.core.auxiliaries.model_builder")
    shape = builder.get_shape_from_data(representative, config.model, config.backend)
    if not isinstance(shape, tuple):
        raise SystemExit("the server has no data, and the shape of its model does not follow from a client's")
    return tuple(tuple(one) if isinstance(one, tuple) else one for one in shape)


def _sizes(own: Mapping[str, Any]) -> dict[str, int]:
    sizes = {}
    for name in SPLITS:
        split: Any = own.get(name)
        try:
            # A sparse matrix of ratings has no length, and a mapping has that of its keys.
            samples = split["x"] if isinstance(split, Mapping) and "x" in split else split
            sizes[name] = int(samples.nnz) if hasattr(samples, "nnz") else len(samples)
        except TypeError:
            continue  # none, or a stream
    return sizes


def _changes(before: Any, after: Any) -> list[list[Any]]:
    """What the loader set in the configuration, and what the participants have to know of the data."""
    old = dict(_leaves(before))
    return [
        [key, value]
        for key, value in _leaves(after)
        if key not in _OF_THE_TESTBED
        and key not in _OF_THIS_MACHINE
        and (key.startswith("data.") or old.get(key) != value)
    ]


def _leaves(tree: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if str(key).startswith("__") or key in _OF_ITSELF:
            continue
        if hasattr(value, "items"):
            yield from _leaves(value, f"{above}{key}.")
        else:
            # Some values come with their type and description.
            yield f"{above}{key}", value.value if type(value).__name__ == "Argument" else value
