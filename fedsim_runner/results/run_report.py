"""report.json and its tables (:data:`TABLES`) of a run folder."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..contract.course_state import ONLY_HOST, CourseState
from ..contract.emulation import without_measured
from ..contract.lenient import number, whole
from ..contract.paths import PLAN, REPORT
from ..contract.time_scale import read_factor
from .clocks import clocks_of_devices, describe_clocks
from .page.metrics import ACCURACIES, find_metric
from .run_files import build_course, read_devices, read_host_clocks, read_journal, read_json, read_left_out
from .tables import client_results, cost
from .tables.compute import COLUMNS as COMPUTE_COLUMNS
from .tables.compute import COMPUTE_FILE, build_compute, stopped_devices
from .tables.course_times import describe_course_times
from .tables.devices import FIELDS, build_devices
from .tables.energy import COLUMNS as ENERGY_COLUMNS
from .tables.energy import ENERGY_FILE, JOULES, add_energy, build_energy, read_models
from .tables.hosts import FIELDS as HOST_FIELDS
from .tables.hosts import build_hosts
from .tables.incidents import collect_notes, list_lost_clients
from .tables.label_counts import COLUMNS as LABEL_COLUMNS
from .tables.label_counts import build_label_rows, count_training_samples, read_labels
from .tables.links import COLUMNS as LINK_COLUMNS
from .tables.links import LINKS_FILE, build_links
from .tables.rounds import OWN, WALL, build_rounds, find_final_results
from .tables.tasks import Step, join_rounds, read_activity
from .tables.time_split import FIELDS as SPLIT_FIELDS
from .tables.time_split import ROUND_FIELDS, Throttled, describe_devices, describe_rounds, split_rounds
from .tables.timed_references import read_timed
from .tables.timeline import COLUMNS as EVENT_COLUMNS
from .tables.timeline import EVENTS_FILE, build_events, read_timeline
from .tables.varied_links import build_varied_links

if TYPE_CHECKING:
    from .samples import Samples

REPORT_VERSION = 2
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
FINISHED = "finished"
# By how much the clocks of lab hosts may differ.
CLOCKS_APART_S = 3600.0
# Status of a report that is written while the course is running.
RUNNING = "running"


def write_report(
    run_dir: Path,
    *,
    status: str | None = None,
    reason: str | None = None,
    inventory_dir: Path | None = None,
    notes: Iterable[str] = (),
    output: Path | None = None,
    writing: bool = True,
) -> dict[str, Any]:
    """Write report.json and the tables from the files in ``run_dir``, and return the report.

    Works on partial and failed runs: what is unknown is null.

    Args:
        status: ``finished``, ``failed``, ``interrupted`` or ``running``; if left out, what the journal says,
            where a course that has no end counts as failed.
        reason: why it did not finish; if left out, what the journal says.
        inventory_dir: folder with ``device_files/`` if it is not ``run_dir/inventory``.
        notes: what the reader should know, in addition to the plan's notes.
        output: folder to write to instead of ``run_dir``.
        writing: if false, nothing is written and the report is only returned.

    Raises:
        OSError: the folder cannot be written.
    """
    events = read_journal(run_dir)
    course = build_course(run_dir, events)
    placed, common = _placed(run_dir, inventory_dir)
    plan = read_json(run_dir / PLAN)
    seen_status, seen_reason, seen_device = _outcome(course)
    final_status = status or seen_status
    if status == FINISHED and course.outcome is not None:
        final_status = course.outcome.status  # it may have failed on another lab host
    samples, scale = _samples(run_dir), read_factor(common.get("time_factor"))
    devices = build_devices(run_dir, placed, course, samples)
    rounds = build_rounds(course)
    final = {"test_acc": None, **find_final_results(course, rounds)}
    total_rounds = whole(_mapping(common.get("course")).get("total_rounds"))
    activity = _activity(run_dir, devices, course)
    device_rounds, rounds = _split(activity, devices, course, rounds, samples, total_rounds)
    models = read_models(placed)
    add_energy(models, device_rounds, rounds)
    energy = build_energy(models, devices, activity)
    for row in energy:
        devices[row["device"]]["joules"] = row["joules"]
    clients = client_results.build_client_results(events, list(devices))
    fairness = _add_client_results(clients, rounds, devices)
    labels = read_labels(run_dir)
    hosts = build_hosts(run_dir, course, devices, samples)
    timeline = build_events(read_timeline(common.get("timeline"), scale), course.timeline, course.began)
    report: dict[str, Any] = {
        "version": REPORT_VERSION,
        "run": common.get("run") or plan.get("run") or run_dir.name,
        "experiment": common.get("experiment") or plan.get("experiment"),
        "status": final_status,
        "reason": None if final_status in (FINISHED, RUNNING) else name_device(reason, seen_device) or seen_reason,
        "device": None if final_status in (FINISHED, RUNNING) else seen_device,
        **describe_course_times(course),
        "link_backend": course.link_backend,
        "cpu_factor": common.get("cpu_factor") or plan.get("cpu_factor"),
        "total_rounds": total_rounds,
        "rounds": rounds,
        "final": final,
        "devices": devices,
        "lost_clients": list_lost_clients(course),
        "labels": labels,
        "notes": _unique(
            [
                *without_measured(_plan_notes(plan), course.emulated),
                *collect_notes(course, read_left_out(run_dir)),
                *_clock_notes(run_dir, devices),
                *without_measured(notes, course.emulated),
            ]
        ),
        "device_rounds": device_rounds,
        "client_results": clients,
        "fairness": fairness,
        "targets": cost.list_targets(rounds, find_metric(rounds, ACCURACIES)),
        "hosts": hosts,
        "links": build_links(
            course.measured_links.values(), devices, course.counted_links.values(), _backlogs(run_dir)
        ),
        "varied_links": build_varied_links(course),
        "compute": build_compute(
            devices,
            placed,
            activity,
            count_training_samples(labels),
            hosts,
            stopped_devices(timeline, course.began),
            read_timed(run_dir, placed, number(common.get("cpu_factor")) or 1.0, scale.factor),
            scale.factor,
        ),
        "energy": energy,
        "events": timeline,
    }
    if writing:
        _write(report, run_dir if output is None else output)
    return report


def _samples(run_dir: Path) -> dict[str, Samples]:
    # Imported here: numpy takes longer to import than most verbs run.
    from .samples import read_samples

    return read_samples(run_dir)


def _backlogs(run_dir: Path) -> dict[tuple[str, str], int]:
    from .link_counters import find_largest_backlogs, read_link_counters  # as above

    return find_largest_backlogs(read_link_counters(run_dir))


def _write(report: dict[str, Any], target: Path) -> None:
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


def _placed(run_dir: Path, inventory_dir: Path | None) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Return devices and common facts from the device files; without them, from the existing report."""
    placed, common = read_devices(run_dir, inventory_dir)
    if placed:
        return placed, common
    before = read_json(run_dir / REPORT)
    common = {key: before.get(key) for key in ("run", "experiment", "cpu_factor")}
    common["course"] = {"total_rounds": before.get("total_rounds")}
    for name, entry in _mapping(before.get("devices")).items():
        if isinstance(entry, dict):
            link = {
                way: {
                    "rate_bps": entry.get(f"rate_{way}_bps"),
                    "delay_us": entry.get(f"delay_{way}_us"),
                    "jitter_us": entry.get(f"jitter_{way}_us"),
                    "loss": entry.get(f"loss_{way}"),
                }
                for way in ("up", "down")
            }
            placed[name] = {**entry, "memory_bytes": entry.get("memory_limit_bytes"), "link": link}
    return placed, common


def _activity(
    run_dir: Path, devices: Mapping[str, Mapping[str, Any]], course: CourseState
) -> Mapping[str, Sequence[Step]]:
    """Return what each participant recorded, on the clock of the server's lab host."""
    clocks = clocks_of_devices(read_host_clocks(run_dir), devices)
    return read_activity(run_dir, list(devices), _server(devices), _span(course), clocks)


def _server(devices: Mapping[str, Mapping[str, Any]]) -> str | None:
    return next((name for name, entry in devices.items() if entry["role"] == "server"), None)


def _split(
    activity: Mapping[str, Sequence[Step]],
    devices: dict[str, dict[str, Any]],
    course: CourseState,
    rounds: Sequence[dict[str, Any]],
    samples: Mapping[str, Samples],
    total_rounds: int | None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the table of rounds by device, and ``rounds`` with the facts it adds; also add facts to ``devices``."""
    server = _server(devices)
    ids = {name: entry["client_id"] for name, entry in devices.items() if entry["client_id"] is not None}
    times = join_rounds(activity, server, ids, total_rounds)
    zero = course.began
    zero = times[0].began if zero is None and times else zero or 0.0
    table = split_rounds(times, activity, zero, Throttled(samples))
    for name, facts in describe_devices(table, len(times), ids).items():
        devices[name].update(facts)
    for name, entry in devices.items():
        if name in ids:  # the journal counts all that were dropped, whatever the reason
            dropped = course.late_updates[name] - (entry["unused_updates"] or 0)
            entry["late_updates"] = max(entry["late_updates"] or 0, dropped)
    facts_by_round = describe_rounds(times, activity, server, zero)
    evaluated = {entry["round"]: entry for entry in rounds}
    # A round that was not evaluated counts as well.
    numbers = sorted(set(evaluated) | set(facts_by_round))
    empty: dict[str, None] = {}
    wall = () if course.time_scale.is_real else WALL
    joined = [
        {
            "round": number,
            **{key: evaluated.get(number, empty).get(key) for key in (*OWN, *wall) if key != "round"},
            **dict.fromkeys(ROUND_FIELDS),
            **facts_by_round.get(number, {}),
            **{key: value for key, value in evaluated.get(number, {}).items() if key not in (*OWN, *wall)},
        }
        for number in numbers
    ]
    _add(joined, cost.ROUND_FIELDS, cost.describe_costs(joined, table, activity.get(server or "", ()), zero))
    return table, joined


def _add_client_results(
    clients: Sequence[dict[str, Any]], rounds: list[dict[str, Any]], devices: Mapping[str, dict[str, Any]]
) -> dict[str, Any] | None:
    """Add the clients' results to ``devices``, and their spread to ``rounds``; return the spread at the end."""
    metrics = client_results.choose_metrics(clients)
    spread = client_results.describe_spread(clients, metrics)
    _add(rounds, client_results.ROUND_FIELDS, spread)
    for name, facts in client_results.describe_last(clients, metrics).items():
        devices[name].update(facts)
    return client_results.describe_fairness(spread, metrics)


def _add(rounds: Iterable[dict[str, Any]], keys: Sequence[str], facts: Mapping[int, Mapping[str, Any]]) -> None:
    for entry in rounds:
        entry.update(facts.get(entry["round"]) or dict.fromkeys(keys))


def name_device(reason: str | None, device: str | None) -> str | None:
    """Return a reason with the device's name in front, unless the reason already contains it."""
    return f"{device}: {reason}" if reason and device and device not in reason else reason


def _outcome(course: CourseState) -> tuple[str, str | None, str | None]:
    """Return status, reason and the device to blame, according to the journals."""
    outcome = course.outcome
    if outcome is not None and outcome.status == "failed":
        return "failed", name_device(outcome.reason or "no reason given", outcome.device), outcome.device
    if outcome is not None:
        return outcome.status, None, None
    if not course.events:
        return "failed", "the run ended before its journal began", None
    others = [name for name in course.unfinished if name != ONLY_HOST]
    if others:
        return "failed", f"the journal of {', '.join(others)} ends before the course does", None
    return "failed", "the journal ends before the course does", None


def _span(course: CourseState) -> tuple[float, float]:
    """Return the earliest and the latest time that a participant can have recorded, generously (Unix seconds)."""
    begins = [t for t in (course.loading_began, course.gate_opened, course.began) if t is not None]
    return (
        min(begins, default=-math.inf) - CLOCKS_APART_S,
        (math.inf if course.last_t is None else course.last_t) + CLOCKS_APART_S,
    )


def _plan_notes(plan: dict[str, Any]) -> list[str]:
    notes = plan.get("notes")
    return [str(note) for note in notes] if isinstance(notes, list) else []


def _clock_notes(run_dir: Path, devices: Mapping[str, Mapping[str, Any]]) -> list[str]:
    clocks = read_host_clocks(run_dir)
    hosts = {str(entry["lab_host"]) for entry in devices.values() if entry.get("lab_host")}
    return describe_clocks(clocks, next(iter(sorted(hosts - clocks.keys())), "local"))


def _unique(notes: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(notes))


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _round_columns(rounds: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    wall = WALL if any(key in entry for entry in rounds for key in WALL) else ()
    own = (*ROUND_FIELDS, *client_results.ROUND_FIELDS, *cost.ROUND_FIELDS, JOULES)
    first = (*OWN, *wall, "test_acc", "test_loss", *own)
    return (*first, *sorted({key for entry in rounds for key in entry} - set(first)))


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write a table with a header line; None becomes an empty cell.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
