"""What each client reported of its own model or data by round, and how evenly the accuracy is spread over the clients.

The results of a client come from the journal. Those of training (``train_``) are of its own model on its own data,
those of an evaluation (``val_``, ``test_``) are of the global model on its own data.
"""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fedsim_runner.contract.events import ClientResult, Event

from ..page.metrics import ACCURACIES, LOSSES, find_metric

# Columns of client_results.csv and keys of an entry of client_results in report.json, before those of the results.
FIELDS = ("round", "device")
# What the spread over the clients adds to a round of rounds.csv.
ROUND_FIELDS = (
    "clients_evaluated",
    "client_accuracy_mean",
    "client_accuracy_deviation",
    "client_accuracy_p10",
    "client_accuracy_lowest",
    "client_accuracy_highest",
    "client_loss_mean",
    "client_loss_deviation",
    "client_loss_p90",
)
# What the results add to a device of devices.csv.
DEVICE_FIELDS = ("last_accuracy", "last_loss")
# A participant may report anything under any name.
MOST_METRICS = 60
_NAME = re.compile(r"(train|val|test)_\w{1,40}", re.ASCII)


def build_client_results(events: Iterable[Event], order: Sequence[str]) -> list[dict[str, Any]]:
    """Return one entry per round and device that reported results, by round and in the given order of devices."""
    found: dict[tuple[int, str], dict[str, float | None]] = defaultdict(dict)
    for event in events:
        if not isinstance(event, ClientResult) or event.device is None:
            continue
        number = event.round or 0
        if number >= 1:
            named = {name: value for name, value in event.results.items() if _NAME.fullmatch(name)}
            found[number, event.device].update(named)
    counts = Counter(name for results in found.values() for name in results)
    kept = {name for name, _ in counts.most_common(MOST_METRICS)}
    places = {name: index for index, name in enumerate(order)}
    keys = sorted((key for key in found if key[1] in places), key=lambda key: (key[0], places[key[1]]))
    rows = ({"round": number, "device": device, **_kept(found[number, device], kept)} for number, device in keys)
    return [row for row in rows if len(row) > len(FIELDS)]


def list_columns(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the columns of client_results.csv."""
    return (*FIELDS, *sorted({key for row in rows for key in row} - set(FIELDS)))


def choose_metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, str | None]:
    """Return which of the results count as the clients' ``accuracy`` and ``loss``: of test data, if there are any."""
    return {"accuracy": find_metric(rows, ACCURACIES), "loss": find_metric(rows, (*LOSSES, "train_loss"))}


def describe_spread(rows: Iterable[Mapping[str, Any]], metrics: Mapping[str, str | None]) -> dict[int, dict[str, Any]]:
    """Return the values of :data:`ROUND_FIELDS` for each round in which at least one client has an accuracy or loss.

    Every client counts alike, whatever its number of samples; deviations are those of the population.
    """
    by_round: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_round[row["round"]].append(row)
    found = {}
    for number, some in by_round.items():
        accuracies, losses = (_values(some, metrics[key]) for key in ("accuracy", "loss"))
        if not accuracies and not losses:
            continue
        found[number] = {
            "clients_evaluated": max(len(accuracies), len(losses)),
            "client_accuracy_mean": _mean(accuracies),
            "client_accuracy_deviation": _deviation(accuracies),
            "client_accuracy_p10": percentile(accuracies, 0.1),
            "client_accuracy_lowest": min(accuracies, default=None),
            "client_accuracy_highest": max(accuracies, default=None),
            "client_loss_mean": _mean(losses),
            "client_loss_deviation": _deviation(losses),
            "client_loss_p90": percentile(losses, 0.9),
        }
    return found


def describe_last(rows: Iterable[Mapping[str, Any]], metrics: Mapping[str, str | None]) -> dict[str, dict[str, Any]]:
    """Return the values of :data:`DEVICE_FIELDS` by device: its results in the last round that it has any of."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        entry = found.setdefault(row["device"], dict.fromkeys(DEVICE_FIELDS))
        for field, key in zip(DEVICE_FIELDS, (metrics["accuracy"], metrics["loss"]), strict=True):
            if key is not None and row.get(key) is not None:
                entry[field] = row[key]
    return found


def describe_fairness(
    spread: Mapping[int, Mapping[str, Any]], metrics: Mapping[str, str | None]
) -> dict[str, Any] | None:
    """Return the spread in the last round that has one, and what is spread; None if no client reported anything."""
    if not spread:
        return None
    # After the last round, and then by all clients, if they evaluate the global model.
    last = max(spread)
    return {"accuracy": metrics["accuracy"], "loss": metrics["loss"], "round": last, **spread[last]}


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the value below which this share of the values lies, interpolated linearly; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return round(ordered[below] + (place - below) * (ordered[above] - ordered[below]), 6)


def _kept(results: Mapping[str, float | None], kept: set[str]) -> dict[str, float | None]:
    return {name: value for name, value in results.items() if name in kept and value is not None}


def _values(rows: Iterable[Mapping[str, Any]], key: str | None) -> list[float]:
    return [] if key is None else [row[key] for row in rows if row.get(key) is not None]


def _mean(values: Sequence[float]) -> float | None:
    return round(statistics.fmean(values), 6) if values else None


def _deviation(values: Sequence[float]) -> float | None:
    return round(statistics.pstdev(values), 6) if values else None
