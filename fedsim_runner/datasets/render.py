"""Each participant's config.yaml and shard, and one tar per lab host that carries them there."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from .sources import Samples, load_samples
from .split import split_labels

CONFIG = "config.yaml"
SHARD = "shard.npz"
STAMP = ".stamp.json"
# Raise it when the same device file gives other bytes than before.
FORMAT = 1
# Of a client's samples: the rest is for training.
CLIENT_VAL_SHARE = 0.1
CLIENT_TEST_SHARE = 0.1


@dataclass(frozen=True)
class Paths:
    """Where a participant finds its files, for participants that are no containers. All absolute or resolvable."""

    shard: str
    out: str
    server_host: str
    own_host: str


@dataclass(frozen=True)
class RenderResult:
    """``tar`` holds ``<device>/config.yaml`` and ``<device>/shard.npz``; ``labels``: samples by client and label."""

    changed: bool
    tar: Path
    labels: dict[str, dict[str, int]]


def render_participants(
    device_file: Mapping[str, Any], target: Path, paths: Mapping[str, Paths] | None = None
) -> RenderResult:
    """Write the files of all devices of one device file under ``target/<device>/``, and ``target/<lab host>.tar``.

    Args:
        device_file: as written by :mod:`fedsim_runner.inventory`.
        target: folder; made if it is not there.
        paths: by device, what replaces the paths and hosts of a container.

    Raises:
        ValueError: the data set is not known or too small for the clients.
        OSError: ``target`` cannot be written.
    """
    tar = target / f"{device_file['lab_host']}.tar"
    stamp = target / f"{device_file['lab_host']}{STAMP}"
    wanted = _fingerprint(device_file, paths)
    known = _read_stamp(stamp)
    if known.get("fingerprint") == wanted and tar.is_file():
        return RenderResult(False, tar, known["labels"])

    shards, labels = _shards(device_file)
    target.mkdir(parents=True, exist_ok=True)
    files: dict[str, bytes] = {}
    for device in device_file["devices"]:
        name = device["name"]
        config = effective_config(device_file, device, (paths or {}).get(name))
        files[f"{name}/{CONFIG}"] = yaml.safe_dump(config, sort_keys=True).encode()
        files[f"{name}/{SHARD}"] = _npz(shards[name])
    for name, data in files.items():
        path = target / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    _write_tar(tar, files)
    # Last: a half-written folder has no stamp and is written again.
    stamp.write_text(json.dumps({"fingerprint": wanted, "labels": labels}) + "\n", encoding="utf-8")
    return RenderResult(True, tar, labels)


def effective_config(
    device_file: Mapping[str, Any], device: Mapping[str, Any], paths: Paths | None = None
) -> dict[str, Any]:
    """The FederatedScope tree of one participant: the common one, its own over it, and ``paths`` over both."""
    config = _merged(device_file["course"]["config"], device["config"])
    if paths is not None:
        config["outdir"] = paths.out
        config["data"]["file_path"] = paths.shard
        config["distribute"]["server_host"] = paths.server_host
        if device["role"] == "client":
            config["distribute"]["client_host"] = paths.own_host
    return config


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = _merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def _shards(device_file: Mapping[str, Any]) -> tuple[dict[str, dict[str, Samples]], dict[str, dict[str, int]]]:
    """Splits by device, and the label table: what each client has of each class."""
    data, clients = device_file["data"], device_file["clients"]
    samples = load_samples(data["dataset"])
    order = np.random.default_rng([data["seed"], 0]).permutation(len(samples.y))
    held_out = round(len(order) * data["test_fraction"])
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


def _npz(splits: Mapping[str, Samples]) -> bytes:
    arrays: dict[str, Any] = {}
    for name, samples in splits.items():
        arrays[f"{name}_x"], arrays[f"{name}_y"] = samples.x, samples.y
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _write_tar(path: Path, files: Mapping[str, bytes]) -> None:
    draft = path.with_suffix(".draft")
    with tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)  # no owner and no times: same files, same bytes
            entry.size = len(files[name])
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(files[name]))
    draft.replace(path)


def _fingerprint(device_file: Mapping[str, Any], paths: Mapping[str, Paths] | None) -> str:
    devices = [{key: device[key] for key in ("name", "role", "index", "config")} for device in device_file["devices"]]
    told = {
        "format": FORMAT,
        "course": device_file["course"],
        "data": device_file["data"],
        "clients": device_file["clients"],
        "devices": devices,
        "paths": {name: vars(value) for name, value in (paths or {}).items()},
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _read_stamp(path: Path) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return loaded
