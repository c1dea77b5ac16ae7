"""Where the time of a round goes on each device: transfer, compute, waiting; and which device held up the others.

For each model that the server sent to a client (:class:`~fedsim_runner.results.tables.tasks.Task`):

- download: from the server's sending to the model being complete at the client,
- compute: the client's training,
- handling: unpacking the model and packing the update, between the transfers and the training,
- upload: from the client's sending to the update being complete at the server,
- waiting: the rest of the round, which lasts from the sending of its first model until its aggregation begins.

Evaluation follows a round's aggregation and is counted separately. The device whose update arrives last is the
round's straggler; it is behind by the time since the previous update.
"""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .tasks import RoundTimes, Step, Task

if TYPE_CHECKING:
    from ..samples import Samples

# The parts of a round in which a device, or its link, works.
BUSY = ("download", "handling", "compute", "upload")
PARTS = (*BUSY, "waiting")
SECONDS = tuple(f"{part}_seconds" for part in PARTS)
# Columns of device_rounds.csv and keys of an entry of device_rounds in report.json. Rounds count from 1 there. Columns
# in _at are seconds since training began.
FIELDS = (
    "round",
    "device",
    "update",  # used, late (dropped by the deadline), unused (no aggregation took it), or none
    "aggregated_round",  # the round whose aggregation took it
    "staleness",  # rounds aggregated between the sending of the model and that, or its arrival if it was not used
    *SECONDS,
    "evaluation_seconds",
    "throttled_seconds",
    "model_bytes",
    "update_bytes",
    "joules",  # by the power figures of its type; a model
    "straggler",
    "behind_seconds",
    "sent_at",
    "arrived_at",
    "train_at",
    "trained_at",
    "answered_at",
    "delivered_at",
)
# What the split adds to a round of rounds.csv.
ROUND_FIELDS = (
    "participants",
    "updates",
    "late_updates",
    "unused_updates",
    "mean_staleness",
    "slowest",
    "behind_seconds",
    "training_seconds",
    "aggregation_seconds",
    "evaluation_seconds",
    "began_at",
    "ended_at",
)
# What the split adds to a device of devices.csv.
DEVICE_FIELDS = (
    "rounds",
    *(f"mean_{name}" for name in SECONDS),
    "mean_evaluation_seconds",
    "straggler_rounds",
    "straggler_share",
    "behind_seconds",
    "used_updates",
    "late_updates",
    "unused_updates",
    "participation_share",
    "mean_staleness",
    "largest_staleness",
)


class Throttled:
    """The counter ``throttled_seconds`` of each device, interpolated linearly between samples."""

    def __init__(self, samples: Mapping[str, Samples]) -> None:
        self._times: dict[str, list[float]] = {}
        self._values: dict[str, list[float]] = {}
        for name, one in samples.items():
            times, values = self._times.setdefault(name, []), self._values.setdefault(name, [])
            for moment, value in zip(one.times.tolist(), one.throttled.tolist(), strict=True):
                # NaN, which is unknown, is neither equal to itself nor larger than anything.
                if value == value and (moment > times[-1] if times else moment == moment):
                    times.append(moment)
                    values.append(value)

    def between(self, device: str, begin: float | None, end: float | None) -> float | None:
        """Return the seconds throttled from ``begin`` to ``end`` (Unix seconds); None with fewer than two samples."""
        if begin is None or end is None or len(self._times.get(device, ())) < 2:
            return None
        return round(max(0.0, self._at(device, end) - self._at(device, begin)), 4)

    def _at(self, device: str, moment: float) -> float:
        times, values = self._times[device], self._values[device]
        after = bisect_right(times, moment)
        if after == 0:
            return values[0]
        if after == len(times):
            return values[-1]
        share = (moment - times[after - 1]) / (times[after] - times[after - 1])
        return values[after - 1] + share * (values[after] - values[after - 1])


def split_rounds(
    rounds: Sequence[RoundTimes], activity: Mapping[str, Sequence[Step]], zero: float, throttled: Throttled
) -> list[dict[str, Any]]:
    """Return one entry with the keys of :data:`FIELDS` per task, by round and device. ``zero``: when training began."""
    evaluated = _evaluations(rounds, activity)
    table = []
    for index, entry in enumerate(rounds):
        last, behind = _straggler(entry)
        following = rounds[index + 1].began if index + 1 < len(rounds) else entry.aggregated or entry.ended
        for task in entry.tasks:
            row = _row(entry, task, zero)
            row["evaluation_seconds"] = evaluated.get((task.device, index))
            row["throttled_seconds"] = throttled.between(task.device, entry.began, following)
            row["straggler"] = task is last
            row["behind_seconds"] = behind if task is last else None
            table.append(row)
    return table


def describe_rounds(
    rounds: Sequence[RoundTimes], activity: Mapping[str, Sequence[Step]], server: str | None, zero: float
) -> dict[int, dict[str, Any]]:
    """Return the values of :data:`ROUND_FIELDS` by round, from 1."""
    spans = _evaluation_spans(rounds, activity.get(server or "", ()))
    facts = {}
    for index, entry in enumerate(rounds):
        last, behind = _straggler(entry)
        begin, end = entry.began, entry.ended
        facts[entry.number + 1] = {
            "participants": len({task.device for task in entry.tasks}),
            "updates": len(entry.used),
            "late_updates": sum(task.update == "late" for task in entry.tasks),
            "unused_updates": sum(task.update == "unused" for task in entry.tasks),
            "mean_staleness": _mean(task.staleness for task in entry.used),
            "slowest": None if last is None else last.device,
            "behind_seconds": behind,
            "training_seconds": _between(begin, end),
            "aggregation_seconds": _between(entry.aggregate, entry.aggregated),
            "evaluation_seconds": spans.get(index),
            "began_at": _between(zero, begin),
            "ended_at": _between(zero, end),
        }
    return facts


def describe_devices(
    table: Iterable[Mapping[str, Any]], rounds_in_all: int, clients: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Return the values of :data:`DEVICE_FIELDS` by device.

    Args:
        rounds_in_all: how many the course had; without any nothing is known.
        clients: all that the server knew, as some may never have been asked.
    """
    by_device: dict[str, list[Mapping[str, Any]]] = {name: [] for name in clients} if rounds_in_all else {}
    for row in table:
        by_device.setdefault(row["device"], []).append(row)
    found = {}
    for name, rows in by_device.items():
        last = sum(bool(row["straggler"]) for row in rows)
        taken = {row["aggregated_round"] for row in rows if row["aggregated_round"] is not None}
        stale = [row["staleness"] for row in rows if row["update"] == "used" and row["staleness"] is not None]
        found[name] = {
            "rounds": len({row["round"] for row in rows}),
            **{f"mean_{key}": _mean(row[key] for row in rows) for key in (*SECONDS, "evaluation_seconds")},
            "straggler_rounds": last,
            "straggler_share": round(last / rounds_in_all, 4) if rounds_in_all else None,
            "behind_seconds": round(sum(row["behind_seconds"] or 0.0 for row in rows), 4),
            **{f"{fate}_updates": sum(row["update"] == fate for row in rows) for fate in ("used", "late", "unused")},
            "participation_share": round(len(taken) / rounds_in_all, 4) if rounds_in_all else None,
            "mean_staleness": _mean(stale),
            "largest_staleness": max(stale, default=None),
        }
    return found


def _row(entry: RoundTimes, task: Task, zero: float) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(FIELDS)
    gaps = (_between(task.arrived, task.train), _between(task.trained, task.answered))
    parts = {
        "download": _between(task.sent, task.arrived),
        "handling": None if gaps == (None, None) else round(sum(gap or 0.0 for gap in gaps), 4),
        "compute": _between(task.train, task.trained),
        "upload": _between(task.answered, task.delivered),
    }
    whole_round = _between(entry.began, entry.ended)
    if whole_round is not None and task.delivered is not None:
        # A late update extends beyond its round: no time is left for waiting.
        parts["waiting"] = round(max(0.0, whole_round - sum(value or 0.0 for value in parts.values())), 4)
    row.update({f"{part}_seconds": parts.get(part) for part in PARTS})
    row.update(
        round=entry.number + 1,
        device=task.device,
        update=task.update,
        aggregated_round=None if task.aggregation is None else task.aggregation + 1,
        staleness=task.staleness,
        model_bytes=task.model_bytes,
        update_bytes=task.update_bytes,
    )
    for name in ("sent", "arrived", "train", "trained", "answered", "delivered"):
        row[f"{name}_at"] = _between(zero, getattr(task, name))
    return row


def _straggler(entry: RoundTimes) -> tuple[Task | None, float | None]:
    """Return the task whose update arrived last, and how long after the previous one; None if there are not two."""
    arrivals = sorted(
        ((task.delivered, task.device, task) for task in entry.tasks if task.delivered is not None),
        key=lambda item: item[:2],
    )
    if len(arrivals) < 2:
        return None, None
    return arrivals[-1][2], _between(arrivals[-2][0], arrivals[-1][0])


def _evaluations(rounds: Sequence[RoundTimes], activity: Mapping[str, Sequence[Step]]) -> dict[tuple[str, int], float]:
    """Return seconds of evaluation by device and the round begun last before it: engines number rounds differently."""
    begins = [entry.began for entry in rounds]
    found: dict[tuple[str, int], float] = defaultdict(float)
    for device, steps in activity.items():
        begun: float | None = None
        for step in steps:
            if step.what == "evaluate":
                begun = step.t
            elif step.what == "evaluated" and begun is not None:
                index = bisect_right(begins, begun) - 1
                if index >= 0:
                    key = (device, index)
                    found[key] = round(found[key] + step.t - begun, 4)
                begun = None
    return found


def _evaluation_spans(rounds: Sequence[RoundTimes], server: Sequence[Step]) -> dict[int, float]:
    """Return how long the evaluation after each round took, from its beginning to the last answer on the server."""
    begins = [entry.began for entry in rounds]
    spans: dict[int, tuple[float, float]] = {}
    for step in server:
        evaluating = step.what in ("evaluate", "evaluated") or (
            step.what in ("send", "received") and step.kind in ("evaluate", "metrics")
        )
        index = bisect_right(begins, step.t) - 1
        if evaluating and index >= 0:
            first, _ = spans.get(index, (step.t, step.t))
            spans[index] = (first, step.t)
    return {index: round(last - first, 4) for index, (first, last) in spans.items()}


def _between(begin: float | None, end: float | None) -> float | None:
    """Return the seconds between two times, at least 0: records of one moment may differ by the clock's resolution."""
    return None if begin is None or end is None else round(max(0.0, end - begin), 4)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.fmean(known), 4) if known else None
