"""A run folder as it is in dilated time: the same course, by clocks that go faster than the devices' time."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Keys of a journal that are moments, and those that are spans; rates are the keys that end with ``_bps``.
MOMENTS = ("t", "open_at", "due")
SPANS = ("late_s", "latest_s", "for_s")


def dilate(folder: Path, factor: float, gate: float) -> Path:
    """Write the files of a run in real time anew, as they are at a time factor, and return its folder.

    Args:
        factor: device seconds in a wall second.
        gate: when the gate opened (Unix seconds).
    """

    def wall(moment: float) -> float:
        return moment if moment <= gate else gate + (moment - gate) / factor

    def change(entry: dict[str, Any]) -> dict[str, Any]:
        return {key: _change(key, value, wall, factor) for key, value in entry.items()}

    for path in [*folder.rglob("journal.jsonl"), *folder.rglob("activity.jsonl")]:
        entries = [change(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
        for entry in entries:
            if entry.get("event") == "agent_started":
                entry["time_factor"] = factor
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    for path in folder.rglob("exit.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**found, "ended": wall(found["ended"])}), encoding="utf-8")
    for path in folder.rglob("device_files/*.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        for device in found["devices"]:
            device["cpus"] *= factor
            for way, side in device.get("link", {}).items():
                device["link"][way] = change(side)
        path.write_text(json.dumps({**found, "time": "dilated", "time_factor": factor}), encoding="utf-8")
    _rows(folder / "metrics.csv", {"t": wall, "throttled_seconds": lambda value: value / factor})
    _rows(folder / "link_counters.csv", {"t": wall, "seconds": lambda value: value / factor})
    return folder


def _change(key: str, value: Any, wall: Callable[[float], float], factor: float) -> Any:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return value
    if key in MOMENTS:
        return wall(value)
    if key in SPANS or key.endswith("_us"):
        return type(value)(value / factor)
    return type(value)(value * factor) if key.endswith("_bps") else value


def _rows(path: Path, changes: dict[str, Callable[[float], float]]) -> None:
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({**row, **{key: f"{change(float(row[key])):.6f}" for key, change in changes.items()}})
