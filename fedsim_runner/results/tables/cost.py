"""What a course has cost until each of its rounds, and until it reached an accuracy: bytes and the devices' time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from .tasks import CLOCK_GRAIN_S, Step
from .time_split import BUSY

# What costs add to a round of rounds.csv.
ROUND_FIELDS = ("message_bytes_so_far", "device_seconds_so_far")
# Columns of targets.csv and keys of an entry of targets in report.json.
TARGET_FIELDS = ("accuracy", "metric", "round", "elapsed_seconds", "message_bytes", "device_seconds")
# What a dilated run has besides.
WALL_FIELD = "wall_elapsed_seconds"
# The accuracies that targets.csv has a row for, as far as they were reached.
TARGETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
# What device-seconds are the sum of.
COUNTED = (*BUSY, "evaluation")


def describe_costs(
    rounds: Iterable[Mapping[str, Any]], table: Iterable[Mapping[str, Any]], server: Sequence[Step], zero: float
) -> dict[int, dict[str, Any]]:
    """Return the values of :data:`ROUND_FIELDS` by round: until it was evaluated, else until its aggregation began.

    Args:
        rounds: entries of rounds.csv.
        table: rows of device_rounds.csv.
        server: the server's activity, which has every message of the course.
        zero: when training began (Unix seconds).
    """
    messages = [(step.t - zero, step.size) for step in server if step.what in ("send", "received") and step.size]
    work = sorted((at, _busy(row)) for row in table if (at := _last_moment(row)) is not None)
    sent, worked = _Sum(messages), _Sum(work)
    found = {}
    for entry in rounds:
        at = entry.get("elapsed_seconds") if entry.get("elapsed_seconds") is not None else entry.get("ended_at")
        if at is None:
            continue
        size, seconds = sent.until(at), worked.until(at)
        found[entry["round"]] = {
            "message_bytes_so_far": None if size is None else int(size),
            "device_seconds_so_far": None if seconds is None else round(seconds, 3),
        }
    return found


def find_target(rounds: Iterable[Mapping[str, Any]], metric: str | None, accuracy: float) -> dict[str, Any] | None:
    """Return what it cost to reach an accuracy, with the keys of :data:`TARGET_FIELDS`; None if it was not reached.

    In a dilated run it has :data:`WALL_FIELD`, too.

    Args:
        rounds: entries of rounds.csv, in order.
        metric: the result that is meant, for example ``test_acc``.
    """
    for entry in rounds:
        value = None if metric is None else entry.get(metric)
        if value is not None and value >= accuracy:
            return {
                "accuracy": accuracy,
                "metric": metric,
                "round": entry["round"],
                "elapsed_seconds": entry.get("elapsed_seconds"),
                "message_bytes": entry.get("message_bytes_so_far"),
                "device_seconds": entry.get("device_seconds_so_far"),
                **({WALL_FIELD: entry[WALL_FIELD]} if WALL_FIELD in entry else {}),
            }
    return None


def target_columns(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns of targets.csv: :data:`TARGET_FIELDS`, and those that a dilated run has."""
    return (*TARGET_FIELDS, WALL_FIELD) if "time_factor" in report else TARGET_FIELDS


def list_targets(rounds: Sequence[Mapping[str, Any]], metric: str | None) -> list[dict[str, Any]]:
    """Return the costs of all of :data:`TARGETS` that were reached."""
    found = (find_target(rounds, metric, accuracy) for accuracy in TARGETS)
    return [one for one in found if one is not None]


class _Sum:
    """Amounts, each at its time, summed up to any time."""

    def __init__(self, amounts: Sequence[tuple[float, float]]) -> None:
        self._times = [at for at, _ in amounts]
        self._sums = list(accumulate(amount for _, amount in amounts))

    def until(self, at: float) -> float | None:
        """Return the sum up to a time; None if nothing is known at all."""
        if not self._times:
            return None
        count = bisect_right(self._times, at + CLOCK_GRAIN_S)
        return self._sums[count - 1] if count else 0.0


def _busy(row: Mapping[str, Any]) -> float:
    return float(sum(row.get(f"{part}_seconds") or 0.0 for part in COUNTED))


def _last_moment(row: Mapping[str, Any]) -> float | None:
    known = [row[f"{name}_at"] for name in ("arrived", "trained", "answered", "delivered") if row.get(f"{name}_at")]
    return max(known, default=None)
