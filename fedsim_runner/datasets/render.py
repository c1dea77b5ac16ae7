"""Each participant's config.yaml and shard."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CONFIG = "config.yaml"
SHARD = "shard.npz"
LAUNCHER = "launcher.json"
STAMP = ".stamp.json"
# Raise it when the same device file gives other bytes than before.
FORMAT = 3


@dataclass(frozen=True)
class RenderResult:
    """``labels``: samples by client and label."""

    changed: bool
    labels: dict[str, dict[str, int]]


def render_participants(device_file: Mapping[str, Any], target: Path) -> RenderResult:
    """Write every device's ``config.yaml``, ``shard.npz`` and ``launcher.json`` to ``target/<device>/``.

    Args:
        device_file: as written by :mod:`fedsim_runner.inventory`.
        target: folder; made if it is not there.

    Raises:
        ValueError: the data set is not known or too small for the clients.
        OSError: ``target`` cannot be written.
    """
    stamp = target / f"{device_file['lab_host']}{STAMP}"
    wanted = _fingerprint(device_file)
    known = _read_stamp(stamp)
    names = [device["name"] for device in device_file["devices"]]
    if known.get("fingerprint") == wanted and _digests(target, names) == known["files"]:
        return RenderResult(False, known["labels"])

    # Behind the stamp: numpy takes longer to import than everything else takes that an unchanged call does.
    from .shards import as_npz, make_shards

    shards, labels = make_shards(device_file)
    for device in device_file["devices"]:
        folder = target / device["name"]
        folder.mkdir(parents=True, exist_ok=True)
        config = yaml.safe_dump(effective_config(device_file, device), sort_keys=True)
        (folder / CONFIG).write_text(config, encoding="utf-8")
        (folder / LAUNCHER).write_text(json.dumps(launcher_settings(device_file, device)) + "\n", encoding="utf-8")
        (folder / SHARD).write_bytes(as_npz(shards[device["name"]]))
    # Last: a half-written folder has no stamp and is written again.
    told = {"fingerprint": wanted, "labels": labels, "files": _digests(target, names)}
    stamp.write_text(json.dumps(told) + "\n", encoding="utf-8")
    return RenderResult(True, labels)


def effective_config(device_file: Mapping[str, Any], device: Mapping[str, Any]) -> dict[str, Any]:
    """The FederatedScope tree of one participant: the common one, its own over it."""
    return _merged(device_file["course"]["config"], device["config"])


def launcher_settings(device_file: Mapping[str, Any], device: Mapping[str, Any]) -> dict[str, Any]:
    """What the launcher of one participant is told beside FederatedScope's own configuration."""
    course = device_file["course"]
    return {
        "version": 1,
        "device": device["name"],
        "role": device["role"],
        "on_client_failure": course["on_client_failure"],
        "min_clients": course["min_clients"],
        "round_deadline_s": course["round_deadline_s"],
        "mends_off": device_file["federatedscope"]["mends_off"],
    }


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = _merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def _fingerprint(device_file: Mapping[str, Any]) -> str:
    devices = [{key: device[key] for key in ("name", "role", "index", "config")} for device in device_file["devices"]]
    told = {
        "format": FORMAT,
        "course": device_file["course"],
        "federatedscope": device_file["federatedscope"],
        "data": device_file["data"],
        "clients": device_file["clients"],
        "devices": devices,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _digests(folder: Path, devices: list[str]) -> dict[str, str | None]:
    """SHA-256 of every device's files by name; None for a file that is not there."""
    found: dict[str, str | None] = {}
    for name in (f"{device}/{file}" for device in devices for file in (CONFIG, SHARD, LAUNCHER)):
        path = folder / name
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    return found


def _read_stamp(path: Path) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return loaded
