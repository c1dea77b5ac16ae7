"""The report of a run folder: report.json and its tables, from the files that are there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..contract.emulation import without_measured
from ..contract.lenient import number, whole
from ..contract.paths import PLAN, REPORT
from ..contract.time_scale import read_factor
from .clocks import describe_clocks
from .outcome import find_outcome, name_device
from .page.metrics import ACCURACIES, find_metric
from .report_files import write_files
from .run_files import build_course, read_devices, read_host_clocks, read_journal, read_json, read_left_out
from .tables import client_results, cost
from .tables.compute import build_compute, stopped_devices
from .tables.course_times import describe_course_times
from .tables.devices import build_devices
from .tables.energy import add_energy, build_energy, read_models
from .tables.hosts import build_hosts
from .tables.incidents import collect_notes, list_lost_clients
from .tables.joined_rounds import add_client_results, join_facts, read_steps
from .tables.label_counts import count_training_samples, read_labels
from .tables.links import build_links
from .tables.rounds import build_rounds, find_final_results
from .tables.timed_references import read_timed
from .tables.timeline import build_events, read_timeline
from .tables.varied_links import build_varied_links

if TYPE_CHECKING:
    from .samples import Samples

REPORT_VERSION = 2
FINISHED = "finished"
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
) -> dict[str, Any]:
    """Write report.json and the tables from the files in ``run_dir``, and return the report.

    Args:
        status, reason, inventory_dir, notes: as for :func:`build_report`.
        output: folder to write to instead of ``run_dir``.

    Raises:
        OSError: the folder cannot be written.
    """
    report = build_report(run_dir, status=status, reason=reason, inventory_dir=inventory_dir, notes=notes)
    write_files(report, run_dir if output is None else output)
    return report


def build_report(
    run_dir: Path,
    *,
    status: str | None = None,
    reason: str | None = None,
    inventory_dir: Path | None = None,
    notes: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the report of ``run_dir``; nothing is written.

    Works on partial and failed runs: what is unknown is null.

    Args:
        status: ``finished``, ``failed``, ``interrupted`` or ``running``; if left out, what the journal says,
            where a course that has no end counts as failed.
        reason: why it did not finish; if left out, what the journal says.
        inventory_dir: folder with ``device_files/`` if it is not ``run_dir/inventory``.
        notes: what the reader should know, in addition to the plan's notes.
    """
    events = read_journal(run_dir)
    course = build_course(run_dir, events)
    placed, common = _placed(run_dir, inventory_dir)
    plan = read_json(run_dir / PLAN)
    seen_status, seen_reason, seen_device = find_outcome(course)
    final_status = status or seen_status
    if status == FINISHED and course.outcome is not None:
        final_status = course.outcome.status  # it may have failed on another lab host
    samples, scale = _samples(run_dir), read_factor(common.get("time_factor"))
    devices = build_devices(run_dir, placed, plan.get("server_paths"), course, samples)
    rounds = build_rounds(course)
    final = {"test_acc": None, **find_final_results(course, rounds)}
    total_rounds = whole(_mapping(common.get("course")).get("total_rounds"))
    activity = read_steps(run_dir, devices, course)
    device_rounds, rounds = join_facts(activity, devices, course, rounds, samples, total_rounds)
    models = read_models(placed)
    add_energy(models, device_rounds, rounds)
    energy = build_energy(models, devices, activity)
    for row in energy:
        devices[row["device"]]["joules"] = row["joules"]
    clients = client_results.build_client_results(events, list(devices))
    fairness = add_client_results(clients, rounds, devices)
    labels = read_labels(run_dir)
    hosts = build_hosts(run_dir, course, devices, samples)
    timeline = build_events(read_timeline(common.get("timeline"), scale), course.timeline, course.began)
    return {
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
        "links": build_links(course.measured_links.values(), placed, course.counted_links.values(), _backlogs(run_dir)),
        "varied_links": build_varied_links(course),
        "compute": build_compute(
            devices,
            placed,
            activity,
            count_training_samples(labels),
            hosts,
            stopped_devices(timeline, course.began),
            read_timed(run_dir, placed, number(common.get("cpu_factor")) or 1.0, scale.factor),
            course.corrected_cpus,
            scale.factor,
        ),
        "energy": energy,
        "events": timeline,
    }


def _samples(run_dir: Path) -> dict[str, Samples]:
    # Imported here: numpy takes longer to import than most verbs run.
    from .samples import read_samples

    return read_samples(run_dir)


def _backlogs(run_dir: Path) -> dict[tuple[str, str], int]:
    from .link_counters import find_largest_backlogs, read_link_counters  # as above

    return find_largest_backlogs(read_link_counters(run_dir))


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
