"""How the labels were distributed to the devices (``participants/labels.json``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fedsim_runner.contract.lenient import number, whole
from fedsim_runner.contract.paths import PARTICIPANTS

from ..run_files import read_json

LABELS = "labels.json"
COLUMNS = ("device", "split", "label", "samples")


def read_labels(run_dir: Path) -> dict[str, Any] | None:
    """Return ``{"classes": [names], "devices": {device: {split: {label: samples}}}}``, with dataset, split and alpha if
    they are known; None if nothing is known."""
    content = read_json(run_dir / PARTICIPANTS / LABELS)
    devices: dict[str, dict[str, dict[str, int]]] = {}
    for device, splits in _items(content.get("devices")):
        for split, counts in _items(splits):
            known = {label: count for label, value in _items(counts) if (count := whole(value)) is not None}
            if known:
                devices.setdefault(device, {})[split] = known
    if not devices:
        return None
    classes = [str(name) for name in content.get("classes") or []] if isinstance(content.get("classes"), list) else []
    seen = {label for splits in devices.values() for counts in splits.values() for label in counts}
    facts = {key: content.get(key) for key in ("dataset", "split") if isinstance(content.get(key), str)}
    alpha = number(content.get("alpha"))
    facts |= {} if alpha is None else {"alpha": alpha}
    return {**facts, "classes": classes + sorted(seen - set(classes), key=_natural), "devices": devices}


def build_label_rows(labels: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the same as rows of labels.csv."""
    return [
        {"device": device, "split": split, "label": label, "samples": count}
        for device, splits in (labels or {}).get("devices", {}).items()
        for split, counts in splits.items()
        for label, count in counts.items()
    ]


def count_training_samples(labels: dict[str, Any] | None) -> dict[str, int]:
    """Return how many samples each device trains with."""
    return {
        device: sum(splits.get("train", {}).values()) for device, splits in (labels or {}).get("devices", {}).items()
    }


def _items(value: object) -> list[tuple[str, Any]]:
    return [(str(key), item) for key, item in value.items()] if isinstance(value, dict) else []


def _natural(label: str) -> tuple[int, float, str]:
    return (0, float(label), label) if label.replace(".", "", 1).isdecimal() else (1, 0.0, label)
