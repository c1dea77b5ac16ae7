"""Gives FederatedScope its shard: ``data.type: file`` with a ``.npz`` in ``data.file_path``.

A shard has arrays of samples and labels, or a pickled object that FederatedScope made on the control node, which this
device trusts. Arrays come as FederatedScope gives the same data to a worker: from a file as tensors, from data sets of
its own as data loaders.
"""

from __future__ import annotations

import importlib
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ..exit_errors import ParticipantError
from .upstream import Place

SPLITS = ("train", "val", "test")
OBJECT = "object"
IN_BATCHES = "in_batches"
TRAINERS = "federatedscope.core.auxiliaries.trainer_builder"
PLACES = (
    Place("federatedscope.core.auxiliaries.data_builder", "get_data", ("config", "client_cfgs"), ("data_dict",)),
    Place("federatedscope.contrib.data.load_from_files", "call_file_data", ("config", "client_cfgs")),
    Place("federatedscope.core.data.utils", "convert_data_mode", ("data", "config")),
    Place("federatedscope.core.data.base_data", "ClientData.__init__", ("self", "client_cfg", "train", "val", "test")),
    Place("federatedscope.core.data.wrap_dataset", "WrapDataset.__init__", ("self", "dataset")),
    Place("federatedscope.core.auxiliaries.utils", "setup_seed", ("seed",)),
)


def register_npz_loader() -> None:
    """Register a loader of ``.npz`` shards in place of FederatedScope's loader of pickles.

    Files of any other kind are still read by FederatedScope itself.
    """
    loaders = importlib.import_module("federatedscope.register").data_dict
    original = loaders["file"]

    def call_npz_data(config: Any, client_cfgs: Any) -> Any:
        path = Path(config.data.file_path)
        if config.data.type != "file" or path.suffix != ".npz":
            return original(config, client_cfgs)
        own = load_object(path)
        if own is not None:
            data = build_data(own, config)
        else:
            utilities = importlib.import_module("federatedscope.core.data.utils")
            tree, in_batches = load_tensors(path)
            data = utilities.convert_data_mode(tree, config)
            if in_batches or goes_through_batches(str(config.trainer.type)):
                data = with_batches(data, config)
        importlib.import_module("federatedscope.core.auxiliaries.utils").setup_seed(config.seed)
        return data, config

    loaders["file"] = call_npz_data


def goes_through_batches(trainer: str) -> bool:
    """Whether a trainer is a user's own that is not based on FederatedScope's: it wants batches, not tensors."""
    importlib.import_module(TRAINERS)  # with those in contrib
    base = importlib.import_module("federatedscope.core.trainers.trainer").Trainer
    builders = importlib.import_module("federatedscope.register").trainer_dict.values()
    found = next((kind for kind in (build(trainer) for build in builders) if kind is not None), base)
    return not (isinstance(found, type) and issubclass(found, base))


def with_batches(tree: dict[str, dict[str, Any]], config: Any) -> Any:
    """The splits as standalone mode gives them: FederatedScope's data loaders."""
    wrap = importlib.import_module("federatedscope.core.data.wrap_dataset").WrapDataset
    kind = importlib.import_module("federatedscope.core.data.base_data").ClientData
    return kind(config, **{name: wrap(tree[name]) if name in tree else None for name in SPLITS})


def load_object(path: Path) -> dict[str, Any] | None:
    """What the control node's export_objects.py wrote into a shard; None: it has arrays.

    Raises:
        ParticipantError: the file cannot be read, or this device lacks a package of which the data are made.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            pickled = memoryview(archive[OBJECT]) if OBJECT in archive else None
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise ParticipantError(f"{path}: cannot be read as a shard: {error}") from error
    if pickled is None:
        return None
    try:
        loaded: dict[str, Any] = pickle.loads(pickled)  # which the control node made
    except ModuleNotFoundError as error:
        reason = f"the data are made with the package {error.name}, which this device does not have"
        raise ParticipantError(f"{reason}; name it in federatedscope.requirements") from error
    except Exception as error:  # of the classes of any package
        versions = "the packages of the control node's interpreter may be of other versions than this device's"
        raise ParticipantError(f"{path}: the data cannot be loaded: {error} ({versions})") from error
    return loaded


def build_data(own: dict[str, Any], config: Any) -> Any:
    """The worker's data as standalone mode gives them, with data loaders of this configuration; None: it has none.

    What FederatedScope's loader set in the configuration is set in ``config``.
    """
    for key, value in own["config"]:
        *above, last = key.split(".")
        holder = config
        for part in above:
            holder = holder[part]
        holder[last] = value
    data = own["data"]
    if "shape" in data:
        config.model.input_shape = data["shape"]
        return None
    if "whole" in data:
        return data["whole"]
    kind = importlib.import_module("federatedscope.core.data.base_data").ClientData
    if data.get("random") is not None:  # so that loaders that draw as they are made draw what FederatedScope's do
        np.random.set_state(data["random"])
    try:
        return kind(config, **{name: data[name] for name in SPLITS}, **data["rest"])
    except ImportError as error:
        reason = f"FederatedScope's data loader needs the package {error.name}, which this device does not have"
        raise ParticipantError(f"{reason}; name it in federatedscope.requirements") from error


def load_tensors(path: Path) -> tuple[dict[str, dict[str, Any]], bool]:
    """Splits of a shard as FederatedScope expects them: ``{"train": {"x": tensor, "y": tensor}, ...}``.

    Arrays are ``<split>_x`` and ``<split>_y``; splits that the file lacks are left out. Also whether the samples are of
    a data set that FederatedScope gives to its workers as data loaders.

    Raises:
        ParticipantError: the file cannot be read or its arrays do not fit together.
    """
    torch = importlib.import_module("torch")
    tree: dict[str, dict[str, Any]] = {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            in_batches = IN_BATCHES in archive
            for split in SPLITS:
                if f"{split}_x" not in archive or f"{split}_y" not in archive:
                    continue
                x, y = archive[f"{split}_x"], archive[f"{split}_y"]
                if x.ndim < 1 or y.ndim < 1 or len(x) != len(y):
                    raise ParticipantError(f"{path}: {split}: x has shape {x.shape} and y {y.shape}")
                tree[split] = {"x": torch.from_numpy(x), "y": torch.from_numpy(y)}
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise ParticipantError(f"{path}: cannot be read as a shard: {error}") from error
    if not tree:
        raise ParticipantError(f"{path}: holds none of {', '.join(f'{split}_x' for split in SPLITS)}")
    return tree, in_batches
