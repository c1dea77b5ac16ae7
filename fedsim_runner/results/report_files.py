"""The files of a report: report.json and its tables (:data:`TABLES`)."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..contract.paths import REPORT
from .tables import client_results, cost
from .tables.compute import COLUMNS as COMPUTE_COLUMNS
from .tables.compute import COMPUTE_FILE
from .tables.devices import FIELDS
from .tables.energy import COLUMNS as ENERGY_COLUMNS
from .tables.energy import ENERGY_FILE, JOULES
from .tables.hosts import FIELDS as HOST_FIELDS
from .tables.label_counts import COLUMNS as LABEL_COLUMNS
from .tables.label_counts import build_label_rows
from .tables.links import COLUMNS as LINK_COLUMNS
from .tables.links import LINKS_FILE
from .tables.rounds import OWN, WALL
from .tables.time_split import FIELDS as SPLIT_FIELDS
from .tables.time_split import ROUND_FIELDS
from .tables.timeline import COLUMNS as EVENT_COLUMNS
from .tables.timeline import EVENTS_FILE

TABLES = (
    "rounds.csv",
    "devices.csv",
    "device_rounds.csv",
    "client_results.csv",
    "targets.csv",
    "hosts.csv",
    "labels.csv",
    LINKS_FILE,
    COMPUTE_FILE,
    ENERGY_FILE,
    EVENTS_FILE,
)


def write_files(report: Mapping[str, Any], target: Path) -> None:
    """Write a report and its tables into a folder, which is made if it is missing.

    Raises:
        OSError: the folder cannot be written.
    """
    target.mkdir(parents=True, exist_ok=True)
    write_csv(target / "rounds.csv", _round_columns(report["rounds"]), report["rounds"])
    rows = [{"device": name, **entry} for name, entry in report["devices"].items()]
    write_csv(target / "devices.csv", ("device", *FIELDS), rows)
    write_csv(target / "device_rounds.csv", SPLIT_FIELDS, report["device_rounds"])
    write_csv(
        target / "client_results.csv", client_results.list_columns(report["client_results"]), report["client_results"]
    )
    write_csv(target / "targets.csv", cost.target_columns(report), report["targets"])
    write_csv(target / "hosts.csv", HOST_FIELDS, report["hosts"])
    write_csv(target / "labels.csv", LABEL_COLUMNS, build_label_rows(report["labels"]))
    if report["links"] or not (target / LINKS_FILE).exists():
        write_csv(target / LINKS_FILE, LINK_COLUMNS, report["links"])
    write_csv(target / COMPUTE_FILE, COMPUTE_COLUMNS, report["compute"])
    write_csv(target / ENERGY_FILE, ENERGY_COLUMNS, report["energy"])
    write_csv(target / EVENTS_FILE, EVENT_COLUMNS, report["events"])
    text = json.dumps(report, indent=1, allow_nan=False) + "\n"
    (target / REPORT).write_text(text, encoding="utf-8")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write a table with a header line; None becomes an empty cell.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _round_columns(rounds: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    wall = WALL if any(key in entry for entry in rounds for key in WALL) else ()
    own = (*ROUND_FIELDS, *client_results.ROUND_FIELDS, *cost.ROUND_FIELDS, JOULES)
    first = (*OWN, *wall, "test_acc", "test_loss", *own)
    return (*first, *sorted({key for entry in rounds for key in entry} - set(first)))
