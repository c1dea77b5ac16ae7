"""Several runs side by side: what each reached and when, with repeats of one experiment grouped."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fedsim_runner.contract.lenient import number, whole

from ..findings import compute_waiting_share, find_worst_straggler
from ..page.formats import flat
from ..page.metrics import ACCURACIES, find_metric
from ..run_files import read_json, read_manifest
from ..tables.cost import find_target
from ..tables.rounds import mean_round_seconds
from ..tables.time_split import PARTS
from .intervals import half_width
from .naming import GroupedRun, name_groups, without_seed
from .run_folders import rebuild_report

COMPARISON_VERSION = 1
# Columns of comparison.csv and keys of a run in comparison.json. Those in NUMBERS also have a mean, a standard
# deviation and half the width of the mean's 95 % confidence interval in comparison-groups.csv.
NUMBERS = (
    "final_accuracy",
    "best_accuracy",
    "rounds",
    "duration_s",
    "seconds_to_target",
    "rounds_to_target",
    "bytes_to_target",
    "device_seconds_to_target",
    "mean_round_seconds",
    *(f"mean_{part}_seconds" for part in PARTS),
    "waiting_share",
    "bytes_sent",
    "late_updates",
    "lost_clients",
)
FIELDS = (
    "run",
    "group",
    "folder",
    "experiment",
    "seed",
    "mode",
    "cpu_factor",
    "status",
    *NUMBERS,
    "straggler",
    "straggler_share",
)
# What a comparison with dilated runs has besides: their times are device time, and this is how they went by.
WALL_FIELDS = ("time_factor", "wall_duration_s")
GROUP_FIELDS = (
    "group", "runs", "reached_target", *(f"{key}_{what}" for key in NUMBERS for what in ("mean", "std", "ci95")),
)  # fmt: skip


def compare_runs(folders: Sequence[Path], *, target: float | None = None, grouping: str = "spec") -> dict[str, Any]:
    """Return the content of comparison.json. Nothing is written into the run folders.

    Args:
        folders: run folders.
        target: accuracy to report the time to; if left out, that of the runs themselves if all have the same, else the
            highest that every run with an accuracy reached.
        grouping: as for :func:`~fedsim_runner.results.comparison.naming.name_groups`.

    Raises:
        FedsimError: no run has such keys.
    """
    reports = [rebuild_report(folder) for folder in folders]
    specs = [_spec(folder) for folder in folders]
    manifests = [read_manifest(folder) for folder in folders]
    dilated = any("time_factor" in report for report in reports)
    metric = next((key for one in reports if (key := find_metric(one["rounds"], ACCURACIES))), ACCURACIES[0])
    target = _own_target(manifests) if target is None else target
    target_accuracy = _common_target(reports, metric) if target is None else target
    grouped = [GroupedRun(*parts) for parts in zip(folders, reports, specs, manifests, strict=True)]
    names = name_groups(grouped, grouping)
    runs = [
        _run(folder, report, manifest, name, metric, target_accuracy) | (_wall(report) if dilated else {})
        for folder, report, manifest, name in zip(folders, reports, manifests, names, strict=True)
    ]
    return {
        "version": COMPARISON_VERSION,
        "metric": metric,
        "target_accuracy": target_accuracy,
        "target_given": target is not None,
        "target_ends": target is not None and target == _own_target(manifests),
        "grouping": grouping,
        **({"time_factors": sorted({run["time_factor"] for run in runs})} if dilated else {}),
        "runs": runs,
        "groups": _groups(runs),
        "differences": _differences(specs, names),
        "notes": _notes(runs),
    }


def _run(
    folder: Path, report: Mapping[str, Any], manifest: Mapping[str, Any], group: str, metric: str, target: float | None
) -> dict[str, Any]:
    rounds, devices = report["rounds"], report["devices"]
    accuracies = [entry[metric] for entry in rounds if entry.get(metric) is not None]
    final = (report.get("final") or {}).get(metric)
    reached = {} if target is None else find_target(rounds, metric, target) or {}
    rows = report["device_rounds"]
    straggler = find_worst_straggler(devices)
    return {
        "run": report["run"],
        "group": group,
        "folder": str(folder),
        "experiment": report.get("experiment"),
        "seed": whole(manifest.get("seed")),
        "mode": manifest.get("mode"),
        "cpu_factor": report.get("cpu_factor"),
        "status": report["status"],
        "final_accuracy": final if final is not None else (accuracies[-1] if accuracies else None),
        "best_accuracy": max(accuracies, default=None),
        "rounds": len(rounds),
        "duration_s": report.get("duration_s"),
        "seconds_to_target": reached.get("elapsed_seconds"),
        "rounds_to_target": reached.get("round"),
        "bytes_to_target": reached.get("message_bytes"),
        "device_seconds_to_target": reached.get("device_seconds"),
        "mean_round_seconds": mean_round_seconds(rounds),
        **{f"mean_{part}_seconds": _mean(row.get(f"{part}_seconds") for row in rows) for part in PARTS},
        "waiting_share": _rounded(compute_waiting_share(report)),
        "bytes_sent": _sum(entry.get("bytes_up") for entry in devices.values()),
        "late_updates": _sum(entry.get("late_updates") for entry in devices.values()),
        "lost_clients": len(report["lost_clients"]),
        "straggler": straggler,
        "straggler_share": None if straggler is None else devices[straggler]["straggler_share"],
        "curve": [
            {"round": entry["round"], "elapsed_seconds": entry.get("elapsed_seconds"), "accuracy": entry[metric]}
            for entry in rounds
            if entry.get(metric) is not None
        ],
    }


def _wall(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of :data:`WALL_FIELDS`; a run in real time has wall time."""
    if "time_factor" in report:
        return {key: report[key] for key in WALL_FIELDS}
    return {"time_factor": 1.0, "wall_duration_s": report.get("duration_s")}


def _own_target(manifests: Iterable[Mapping[str, Any]]) -> float | None:
    """Return the accuracy at which all runs were to end; None if they had none, or not the same."""
    policies = [manifest.get("policies") for manifest in manifests]
    found = {number(one.get("target")) if isinstance(one, dict) else None for one in policies}
    return found.pop() if len(found) == 1 else None


def _common_target(reports: Iterable[Mapping[str, Any]], metric: str) -> float | None:
    """Return the highest accuracy, in whole percent, that every run with an accuracy reached."""
    best = [
        max(known)
        for report in reports
        if (known := [entry[metric] for entry in report["rounds"] if entry.get(metric) is not None])
    ]
    return math.floor(min(best) * 100 + 1e-9) / 100 if best else None


def _groups(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    members: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for run in runs:
        members[run["group"]].append(run)
    groups = []
    for name, found in members.items():
        reached = sum(run["rounds_to_target"] is not None for run in found)
        entry: dict[str, Any] = {"group": name, "runs": len(found), "reached_target": reached}
        for key in NUMBERS:
            known = [run[key] for run in found if run[key] is not None]
            # A target that some repeats missed has no mean time: it would be that of the successful ones only.
            enough = len(known) == len(found) or not key.endswith("_to_target")
            several = len(known) > 1 and enough
            entry[f"{key}_mean"] = _rounded(statistics.fmean(known)) if known and enough else None
            entry[f"{key}_std"] = _rounded(statistics.stdev(known)) if several else None
            entry[f"{key}_ci95"] = _rounded(half_width(known)) if several else None
        groups.append(entry)
    return groups


def _differences(specs: Sequence[Mapping[str, Any] | None], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the differences between the groups' experiments: ``setting`` and its value by group."""
    first: dict[str, dict[str, str]] = {}
    for spec, name in zip(specs, names, strict=True):
        if spec is not None:
            first.setdefault(name, dict(flat(without_seed(spec))))
    if len(first) < 2:
        return []
    settings = list(dict.fromkeys(key for values in first.values() for key in values))
    found = []
    for setting in settings:
        values = {name: known.get(setting) for name, known in first.items()}
        if len(set(values.values())) > 1:
            found.append({"setting": setting, "values": values})
    return found


def _notes(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    notes = []
    unfinished = [run["run"] for run in runs if run["status"] != "finished"]
    if unfinished:
        notes.append(f"not finished: {', '.join(unfinished)}; they count with their results so far")
    notes += _notes_on_time(runs)
    if len({run["mode"] for run in runs if run["mode"]}) > 1:
        notes.append("some runs were without Docker, so without limits and links: their times cannot be compared")
    return notes


def _notes_on_time(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say whether times can be compared: where time is dilated by the cpu factor, devices are as fast as with 1."""
    times = {run.get("time_factor", 1.0) for run in runs}
    with_factor = [run for run in runs if run["cpu_factor"] is not None]
    speeds = {round(run["cpu_factor"] / run.get("time_factor", 1.0), 6) for run in with_factor}
    if len(times) > 1 and len(speeds) > 1:
        return [
            f"the runs have different time factors ({_listed(times)}), and in their device time devices compute at "
            f"different speeds ({_listed(speeds)} times that of their type): their times cannot be compared"
        ]
    if len(times) > 1:
        return [
            f"the runs have different time factors ({_listed(times)}): all times here are device time, which can be "
            "compared; how long the runs took in the lab cannot"
        ]
    factors = {run["cpu_factor"] for run in with_factor}
    if len(factors) > 1:
        return [f"the runs have different cpu factors ({_listed(factors)}): their times cannot be compared"]
    return []


def _listed(factors: Iterable[float]) -> str:
    return ", ".join(f"{factor:g}" for factor in sorted(factors))


def _spec(folder: Path) -> dict[str, Any] | None:
    """Return the experiment with all defaults from the run folder."""
    found = read_json(folder / "inputs" / "experiment.json").get("experiment")
    return found if isinstance(found, dict) else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _rounded(statistics.fmean(known)) if known else None


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
