"""The label table of a run: how many samples of each class every device has.

It is ``participants/labels.json`` in the run folder, with the same bytes for the same experiment, whichever lab host
writes it::

    {"version": 1,
     "dataset": "digits", "split": "dirichlet", "alpha": 0.5 | null, "test_fraction": 0.2 | null, "seed": 7,
     "layout": "flat" | "image", "shape": [64] | null,   shape of one sample
     "sha256": null | "...",                             of the user's files
     "fingerprint": "...",                               of everything that determines the shards
     "server": "server", "clients": ["phone-1", ...],    in FederatedScope's data_idx order 1..n
     "classes": ["0", "1", ...],
     "devices": {"server": {"test": {"0": 36, "1": 37, ...}},       samples by class; empty classes are left out
                 "phone-1": {"train": {...}, "val": {...}, "test": {...}}, ...},
     "sizes": {"server": {"test": 359}, "phone-1": {"train": 201, "val": 25, "test": 25}, ...}}

``shape`` is null, and there are no classes, where FederatedScope's own objects are the data;
``alpha`` is null if the split has none; ``test_fraction`` if the user's files include the server's test set.
This module does not import numpy, so that reading the table is quick.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..contract import atomic

LABELS = "labels.json"
VERSION = 1


def read_table_file(participants: Path) -> dict[str, Any] | None:
    """Read the label table in a run's ``participants`` folder; None: it is missing or cannot be read."""
    try:
        loaded = json.loads((participants / LABELS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return loaded if isinstance(loaded, dict) and loaded.get("version") == VERSION else None


def write_table_file(participants: Path, table: Mapping[str, Any]) -> None:
    """Replace the whole table atomically: several lab hosts' shares may be made at the same time.

    Raises:
        OSError: it cannot be written.
    """
    atomic.write(participants / LABELS, json.dumps(table, indent=1) + "\n")


def total_by_device(table: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Add up each client's samples by class over all its splits; classes that it lacks are left out."""
    totals: dict[str, dict[str, int]] = {}
    for client in table["clients"]:
        splits = table["devices"][client].values()
        sums = {name: sum(counts.get(name, 0) for counts in splits) for name in table["classes"]}
        totals[client] = {name: count for name, count in sums.items() if count}
    return totals
