"""Reading what came back from a run. Any file may be missing, cut short or damaged: the rest still counts."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..contract.device_file import with_names_of_this_version

JOURNAL = "journal.jsonl"
METRICS = "metrics.csv"
CONTAINERS = "containers.json"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty if the file is missing or damaged."""
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Events of a journal in the order of their time. A line that was cut by a crash is left out."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    events = []
    for line in lines:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            events.append(event)
    return sorted(events, key=lambda event: number(event.get("t")) or 0.0)


def read_metrics(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a metrics table, one at a time: a long run has many."""
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as stream:
            yield from csv.DictReader(stream)
    except OSError:
        return


def read_devices(run_dir: Path, inventory_dir: Path | None = None) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """The run's devices by name, from its device files, and what the first device file says of the whole run."""
    folders = [run_dir / "inventory", run_dir] if inventory_dir is None else [inventory_dir]
    for folder in folders:
        contents = [_device_file(path) for path in sorted((folder / "device_files").glob("*.json"))]
        devices = {
            device["name"]: {"lab_host": content.get("lab_host"), **device}
            for content in contents
            for device in content.get("devices") or []
            if isinstance(device, dict) and isinstance(device.get("name"), str)
        }
        if devices:
            return dict(sorted(devices.items(), key=lambda item: item[1].get("index") or 0)), contents[0]
    return {}, {}


def _device_file(path: Path) -> dict[str, Any]:
    found = read_json(path)
    return with_names_of_this_version(found, f"device file {path}") if "version" in found else found


def number(value: object) -> float | None:
    """A finite number, or None for everything else; text is parsed."""
    if isinstance(value, bool) or value is None or value == "":
        return None
    if not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if found == found and abs(found) != float("inf") else None


def whole(value: object) -> int | None:
    """A whole number, or None."""
    found = number(value)
    return None if found is None else int(found)
