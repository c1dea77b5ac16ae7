"""How fast each device was to compute, and how fast it was: compute.csv."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedsim_runner.contract.lenient import number, whole
from fedsim_runner.contract.link_verdict import OUT, UNDETERMINED, WITHIN

from ..compute_verdict import (
    LEAST_ALIKE,
    OF_COURSE,
    TOLERATED,
    Timed,
    Work,
    combine,
    grain,
    judge_alike,
    judge_timed,
    judge_work,
    spread_of_mean,
)
from .hosts import CONTENDED_STEAL
from .links import LIKELY
from .tasks import Step
from .work import read_work

COMPUTE_FILE = "compute.csv"
COLUMNS = (
    "device",
    "type",
    "lab_host",
    "reference",
    "reference_asked_seconds",
    "reference_seconds",
    "reference_error",
    "reference_verdict",
    "limit_corrected_by",
    "cpus_asked",
    "cpus",
    "time_error",
    "time_error_of_course",
    "time_verdict",
    "steps",
    "computing_seconds",
    "computing_cpu_seconds",
    "sample_seconds",
    "alike_devices",
    "alike_sample_seconds",
    "alike_error",
    "alike_verdict",
    "throttled_seconds",
    "throttled_periods",
    "periods",
    "verdict",
    "reason",
)
NAMED = 4
_ORDER = {OUT: 0, WITHIN: 1}
# Of numbers of samples: devices with so little more or less have as much to do.
_SAME_AMOUNT = 0.02
Span = tuple[float, float]


def build_compute(
    devices: Mapping[str, Mapping[str, Any]],
    placed: Mapping[str, Mapping[str, Any]],
    activity: Mapping[str, Sequence[Step]],
    samples: Mapping[str, int],
    hosts: Iterable[Mapping[str, Any]],
    stopped: Mapping[str, Sequence[Span]],
    timed: Mapping[str, Timed] | None = None,
    corrected: Mapping[str, float] | None = None,
    factor: float = 1.0,
) -> list[dict[str, Any]]:
    """Return a row for each device that has a CPU limit; none if no processor time was recorded.

    Args:
        devices: the report's.
        placed: those of the device files, in device time.
        activity: what each recorded.
        samples: of each device's training data.
        hosts: the lab hosts, as :mod:`.hosts` describes them.
        stopped: when events held a device (Unix seconds).
        timed: the reference steps that were timed before the course.
        corrected: the limits that agents gave devices in place of the planned ones, in cores of the lab host.
        factor: device seconds in a wall second; times are device time.
    """
    timed = timed or {}
    spans = {name: _spans(steps, stopped.get(name, ())) for name, steps in activity.items()}
    if not any(spans.values()) and not timed:
        return []
    by_name = {host["lab_host"]: host for host in hosts}
    alike = _compare_alike(devices, spans, samples)
    rows = []
    for name, entry in devices.items():
        cpus = number(placed.get(name, {}).get("cpus"))
        if cpus is None or cpus <= 0:
            continue
        planned = cpus * factor  # of the lab host, in wall time
        cpus = (corrected or {}).get(name, planned)
        threads = whole(placed[name].get("threads")) or max(1, math.floor(planned))
        row = dict.fromkeys(COLUMNS) | {key: entry.get(key) for key in COLUMNS if key in entry}
        row |= {"device": name, "cpus": None, "reference_seconds": None, **alike.get(name, {})}
        row["limit_corrected_by"] = round(cpus / planned - 1, 4) if cpus != planned else None
        device = _Device(
            cpus,
            threads,
            bool(placed[name].get("gpus")),
            spans.get(name, ()),
            timed.get(name),
            factor,
            number(entry.get("course_seconds")),
        )
        _judge(row, device, by_name.get(entry["lab_host"]) or {})
        rows.append(row)
    return rows


def describe_compute(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Return how true the devices' computing was, and the worst of them, in one sentence; None without rows."""
    if not rows:
        return None
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in (WITHIN, OUT, UNDETERMINED)}
    line = f"compute during the course: {counts[WITHIN]} of {len(rows)} devices as requested"
    line += f", {counts[OUT]} not" if counts[OUT] else ""
    line += f", {counts[UNDETERMINED]} undetermined" if counts[UNDETERMINED] else ""
    doubts = {row["reason"] for row in rows if row["verdict"] == UNDETERMINED}
    line += f" ({doubts.pop()})" if len(doubts) == 1 else ""
    worst = find_worst(rows)
    return line if worst is None else f"{line}; worst: {worst['device']}, {describe_got(worst)}"


def describe_slow_devices(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return which devices were not as fast as requested, and why, as sentences."""
    out = [row for row in rows if row["verdict"] == OUT]
    if not out:
        return []
    more = f"; and {len(out) - NAMED} more in {COMPUTE_FILE}" if len(out) > NAMED else ""
    named: dict[str, list[str]] = {}
    for row in out[:NAMED]:  # those with the same cause together
        got, _, cause = str(row["reason"]).partition(LIKELY)
        named.setdefault(cause, []).append(f"{row['device']}: {got}")
    groups = "; ".join(_with_cause(devices, cause) for cause, devices in named.items())
    return [f"Devices that did not compute as requested: {groups}{more}."]


def _with_cause(devices: Sequence[str], cause: str) -> str:
    if not cause:
        return "; ".join(devices)
    return "; ".join(devices) + (f"{LIKELY}{cause}" if len(devices) == 1 else f" (likely reason in each case: {cause}")


def find_worst(rows: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the row with the worse verdict, and of those the one whose times are off by most; None without any.

    What is undetermined is left out: its errors say nothing.
    """
    known = [row for row in rows if _errors(row) and row["verdict"] != UNDETERMINED]
    return min(known, key=lambda row: (_ORDER[str(row["verdict"])], -max(_errors(row).values())), default=None)


def describe_got(row: Mapping[str, Any]) -> str:
    """Return what a device got, and what was asked for, of the figure that is off by most."""
    errors = _errors(row)
    worst = max(errors, key=lambda part: errors[part], default="time")
    if worst == "reference":
        step, asked = row["reference_seconds"], row["reference_asked_seconds"]
        return f"{step:.3g} s for {asked:.3g} s of a step of {row['reference']} before the course"
    if worst == "alike":
        return f"{row['alike_error']:+.0%} time for a sample against {row['alike_devices']} equal devices"
    if _is_short(row):
        return f"its short steps together off by {row['time_error_of_course']:+.1%} of the course's time"
    return f"{row['cpus']:.3g} cpus for {row['cpus_asked']:.3g} while it computed"


def _errors(row: Mapping[str, Any]) -> dict[str, float]:
    """What is off, and by how much, of the figures that the verdict is from."""
    parts = [part for part in ("reference", "time", "alike") if row[f"{part}_verdict"] == row["verdict"]]
    values = {part: abs(row[f"{part}_error"]) for part in parts}
    return values | {"time": abs(row["time_error_of_course"])} if "time" in values and _is_short(row) else values


def _is_short(row: Mapping[str, Any]) -> bool:
    """Whether a device's steps are within only as they are nothing beside the course."""
    off, of_course = row["time_error"], row["time_error_of_course"]
    if row["time_verdict"] != WITHIN or of_course is None:
        return False
    return bool(abs(off) > TOLERATED and abs(of_course) <= OF_COURSE)


def stopped_devices(events: Iterable[Mapping[str, Any]], zero: float | None) -> dict[str, list[Span]]:
    """Return when events froze devices (Unix seconds).

    Args:
        events: rows of events.csv.
        zero: from when their times count.
    """
    found: dict[str, list[Span]] = defaultdict(list)
    for row in events:
        if row["what"] == "freeze" and row["began_at"] is not None and zero is not None:
            until = math.inf if row["ended_at"] is None else zero + row["ended_at"]
            for name in str(row["devices"] or "").split():
                found[name].append((zero + row["began_at"], until))
    return found


def _spans(steps: Sequence[Step], stopped: Sequence[Span]) -> list[tuple[str, float, float]]:
    """Return of each step of work what it was, its seconds and its processor seconds, without those under a stop."""
    return [
        (work.what, work.seconds, work.cpu)
        for work in read_work(steps)
        if work.cpu is not None and not any(since < work.ended and work.began < until for since, until in stopped)
    ]


@dataclass(frozen=True)
class _Device:
    """What is known of a device, besides its row."""

    cpus: float
    threads: int
    has_gpu: bool
    spans: Sequence[tuple[str, float, float]]
    timed: Timed | None
    factor: float
    course_s: float | None


def _judge(row: dict[str, Any], device: _Device, host: Mapping[str, Any]) -> None:
    """Add to a row what was measured, and the verdict."""
    spans, cpus, threads, factor = device.spans, device.cpus, device.threads, device.factor
    work = Work(len(spans), sum(one[1] for one in spans), sum(one[2] for one in spans))
    served = judge_work(cpus, threads, work, factor, device.course_s)
    row |= {"cpus_asked": round(min(cpus, threads) / factor, 5), "steps": work.steps}
    row |= {"computing_seconds": round(work.seconds, 4), "computing_cpu_seconds": round(work.cpu_seconds, 4)}
    step, own, alike = None, None, None
    if (timed := device.timed) is not None:
        step = judge_timed(cpus, threads, timed, factor)
        row |= {"reference_asked_seconds": round(timed.asked_s, 6), "reference_seconds": round(timed.step_s, 6)}
        row["reference_error"] = round(timed.error, 4)
    if served is not None:
        own = UNDETERMINED if device.has_gpu and served.error > 0 else served.verdict
        row |= {"cpus": round(served.cpus, 5), "time_error": round(served.error, 4)}
        row["time_error_of_course"] = None if served.of_course is None else round(served.of_course, 5)
        if row["alike_error"] is not None:
            trained = [one[1] for one in spans if one[0] == "train"]
            alike = judge_alike(row["alike_error"], grain(cpus, threads, work, factor) + spread_of_mean(trained))
    row |= {"reference_verdict": step, "time_verdict": own, "alike_verdict": alike}
    row["verdict"] = combine(step, own, alike)
    if row["verdict"] == OUT:
        row["reason"] = f"{describe_got(row)}{LIKELY}{_likely(row, host)})"
    elif row["verdict"] == UNDETERMINED:
        row["reason"] = "it has not computed" if served is None else _doubt(row, threads, device.has_gpu)


def _likely(row: Mapping[str, Any], host: Mapping[str, Any]) -> str:
    if row["time_verdict"] == OUT and row["time_error"] < 0:
        return "kernel: it does not hold the limit, or somebody has changed it"
    if row["reference_verdict"] == OUT and row["reference_error"] < 0:
        return "calibration: the lab host is faster than it was measured to be"
    if (host.get("steal_share") or 0.0) >= CONTENDED_STEAL:
        return f"hypervisor: it took {100 * host['steal_share']:.0f} % of the lab host's processors"
    if host.get("busy_with_others"):
        return f"load: other programs took {100 * host['others_share']:.0f} % of the lab host's processors"
    if host.get("contended"):
        return f"load: {100 * host['busy_share']:.0f} % of the lab host's processors were busy"
    if row["reference_verdict"] == OUT:
        return "calibration: the lab host is slower than it was measured to be, or was held up just then"
    return "it waited for something other than its processor, such as its disk"


def _doubt(row: Mapping[str, Any], threads: int, has_gpu: bool) -> str:
    if has_gpu:
        return "it computes with a GPU as well"
    if row["time_error"] > TOLERATED and threads > 1:
        return f"its {threads} threads were not all busy, or were held up"
    return "its steps are too short to tell"


def _compare_alike(
    devices: Mapping[str, Mapping[str, Any]],
    spans: Mapping[str, Sequence[tuple[str, float, float]]],
    samples: Mapping[str, int],
) -> dict[str, dict[str, Any]]:
    """Return seconds of training per sample by device, and the median of those that should take as long.

    Those have the same type, engine and limit, as much data, and the same lab host; if the type says how fast it is, on
    any lab host.
    """
    groups: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    each: dict[str, float] = {}
    for name, entry in devices.items():
        trained = [one[1] for one in spans.get(name, ()) if one[0] == "train"]
        amount = samples.get(name, 0)
        if not trained or not amount:
            continue
        each[name] = statistics.fmean(trained) / amount
        where = entry.get("reference") or (entry.get("lab_host"), entry.get("cpus"))
        groups[entry.get("type"), entry.get("engine"), where].append(name)
    found: dict[str, dict[str, Any]] = {}
    for names in groups.values():
        for name in names:
            row: dict[str, Any] = {"sample_seconds": round(each[name], 7)}
            alike = [one for one in names if abs(samples[one] - samples[name]) <= _SAME_AMOUNT * samples[name]]
            if len(alike) >= LEAST_ALIKE:
                median = statistics.median(each[one] for one in alike)
                row |= {"alike_devices": len(alike), "alike_sample_seconds": round(median, 7)}
                row["alike_error"] = round(each[name] / median - 1, 4) if median else None
            found[name] = row
    return found
