"""What energy the devices would have taken, by the power figures of their types: energy.csv. A model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fedsim_runner.contract.energy import EnergyModel
from fedsim_runner.contract.typed_json import FormError, load

from .tasks import Step
from .time_split import SECONDS
from .work import read_work

ENERGY_FILE = "energy.csv"
COLUMNS = (
    "device",
    "type",
    "seconds",
    "active_seconds",
    "bytes_up",
    "bytes_down",
    "idle_joules",
    "active_joules",
    "radio_joules",
    "joules",
    "idle_watts",
    "active_watts",
    "joules_per_megabyte_up",
    "joules_per_megabyte_down",
    "source",
)
#: What it adds to a row of device_rounds.csv, and to a round and a device.
JOULES = "joules"


def read_models(placed: Mapping[str, Mapping[str, Any]]) -> dict[str, EnergyModel]:
    """Return the figures of each device whose type has some, from the device files."""
    found = {}
    for name, entry in placed.items():
        try:
            found[name] = load(EnergyModel, entry["energy"])
        except (KeyError, FormError):
            continue
    return found


def build_energy(
    models: Mapping[str, EnergyModel],
    devices: Mapping[str, Mapping[str, Any]],
    activity: Mapping[str, Sequence[Step]],
) -> list[dict[str, Any]]:
    """Return a row for each device with figures, of the whole course: from the gate to the device's end.

    Args:
        models: the figures.
        devices: the report's.
        activity: what each recorded.
    """
    rows = []
    for name, model in models.items():
        entry = devices.get(name)
        if entry is None or entry.get("course_seconds") is None:
            continue
        seconds = entry["course_seconds"]
        active = min(seconds, sum(work.seconds for work in read_work(activity.get(name, ()))))
        up, down = entry.get("bytes_up") or 0, entry.get("bytes_down") or 0
        joules = model.joules(seconds, active, up, down)
        rows.append(
            {
                "device": name,
                "type": entry.get("type"),
                "seconds": seconds,
                "active_seconds": round(active, 4),
                "bytes_up": up,
                "bytes_down": down,
                "idle_joules": round(joules.idle, 4),
                "active_joules": round(joules.active, 4),
                "radio_joules": round(joules.radio, 4),
                "joules": round(joules.total, 4),
                **asdict(model),
            }
        )
    return rows


def add_energy(
    models: Mapping[str, EnergyModel], table: Iterable[dict[str, Any]], rounds: Iterable[dict[str, Any]]
) -> None:
    """Add :data:`JOULES` to the rows of device_rounds.csv, and their sums to those of rounds.csv; None without figures.

    A row's time is that of all its parts, waiting included, and its evaluation; its bytes are those of the messages.
    """
    sums: dict[int, float] = defaultdict(float)
    for row in table:
        model = models.get(row["device"])
        row[JOULES] = None
        if model is None:
            continue
        evaluation = row.get("evaluation_seconds") or 0.0
        seconds = sum(row.get(part) or 0.0 for part in SECONDS) + evaluation
        active = (row.get("compute_seconds") or 0.0) + evaluation
        up, down = row.get("update_bytes") or 0, row.get("model_bytes") or 0
        row[JOULES] = round(model.joules(seconds, active, up, down).total, 4)
        sums[row["round"]] += row[JOULES]
    for entry in rounds:
        entry[JOULES] = round(sums[entry["round"]], 4) if entry["round"] in sums else None
