"""What was unusual in a run, as sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .tables.compute import describe_slow_devices
from .tables.hosts import describe_contention
from .tables.links import describe_false_links
from .tables.time_split import BUSY
from .tables.timeline import describe_failed_events
from .tables.varied_links import describe_late_variations

NAMED = 6  # devices in one sentence


def describe_findings(report: Mapping[str, Any]) -> list[str]:
    """Describe losses, kills, late updates, throttling, dropped packets and stragglers; the usual is not mentioned."""
    devices: Mapping[str, Mapping[str, Any]] = report.get("devices") or {}
    found = [*_lost(report), *_killed(devices)]
    late = {name: entry["late_updates"] for name, entry in devices.items() if entry.get("late_updates")}
    if late:
        found.append(f"Updates that arrived too late and were dropped: {_listed(late, '{}')}.")
    unused = {name: entry["unused_updates"] for name, entry in devices.items() if entry.get("unused_updates")}
    if unused:
        found.append(f"Updates that arrived and were not used by any aggregation: {_listed(unused, '{}')}.")
    throttled = {name: entry["throttled_seconds"] for name, entry in devices.items() if entry.get("throttled_seconds")}
    throttled = {name: value for name, value in throttled.items() if value >= 0.05}
    if throttled:
        found.append(f"Held back by their CPU limit: {_listed(throttled, '{:.1f} s')}.")
    dropped = {name: entry["packets_dropped"] for name, entry in devices.items() if entry.get("packets_dropped")}
    if dropped:
        found.append(f"Packets dropped at the device's interface: {_listed(dropped, '{}')}.")
    found += _stragglers(report, devices)
    found += describe_contention(report.get("hosts") or [], "time_factor" in report)
    found += describe_false_links(report.get("links") or [])
    found += describe_slow_devices(report.get("compute") or [])
    found += describe_failed_events(report.get("events") or [])
    found += _not_back(report, devices)
    found += describe_late_variations(report.get("varied_links") or [])
    return found


def find_worst_straggler(devices: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the device with the largest total delay in the rounds it was last in; None if no device was last."""
    behind = {name: entry["behind_seconds"] for name, entry in devices.items() if entry.get("straggler_rounds")}
    return max(behind, key=lambda name: behind[name]) if behind else None


def compute_waiting_share(report: Mapping[str, Any]) -> float | None:
    """Return the share of the clients' time in rounds that they spent waiting; None if unknown."""
    waiting = total = 0.0
    for row in report.get("device_rounds") or []:
        if row.get("waiting_seconds") is not None:
            parts = [row.get(f"{part}_seconds") or 0.0 for part in BUSY]
            waiting += row["waiting_seconds"]
            total += row["waiting_seconds"] + sum(parts)
    return waiting / total if total else None


def _lost(report: Mapping[str, Any]) -> list[str]:
    found = []
    for lost in report.get("lost_clients") or []:
        zero, moment = report.get("began"), lost.get("t")
        # Without a first round, ``began`` is the opening of the gate.
        never = report.get("startup_s") is None and not report.get("rounds")
        if zero is None or moment is None:
            when = ""
        elif never or moment < zero:
            when = " before training began"
        else:
            when = f" {moment - zero:.1f} s after training began"
        reason = f": {lost['reason']}" if lost.get("reason") else ""
        found.append(f"{lost['device']} was lost{when}{reason}. The course continued without it.")
    return found


def _killed(devices: Mapping[str, Mapping[str, Any]]) -> list[str]:
    killed = [name for name, entry in devices.items() if entry.get("oom_killed") or entry.get("oom_kills")]
    if not killed:
        return []
    return [f"Killed by the kernel for lack of memory: {_names(killed)}."]


def _stragglers(report: Mapping[str, Any], devices: Mapping[str, Mapping[str, Any]]) -> list[str]:
    name = find_worst_straggler(devices)
    if name is None:
        return []
    entry = devices[name]
    count, mean = entry["straggler_rounds"], entry["behind_seconds"] / entry["straggler_rounds"]
    often = f"Straggler: {name} was last in {count} of its {entry['rounds']} rounds"
    found = [f"{often}, on average {mean:.2f} s after the one before it."] if mean >= 0.005 else []
    share = compute_waiting_share(report)
    if share is not None:
        found.append(f"Clients spent {share * 100:.0f} % of the rounds' time waiting for others.")
    return found


def _not_back(report: Mapping[str, Any], devices: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Name devices that an event has started anew, and that were not back when a course ended that did finish."""
    again = (("restart", "begun"), ("kill", "ended"))
    rows = [row for row in report.get("events") or [] if (row.get("what"), row.get("state")) in again]
    names = [name for row in rows for name in str(row.get("devices") or "").split()]
    absent = [name for name in dict.fromkeys(names) if devices.get(name, {}).get("state") == "exited"]
    if report.get("status") != "finished" or not absent:
        return []
    return [f"Restarted by an event, and not back before the end of the course: {_names(absent)}."]


def _listed(values: Mapping[str, Any], form: str) -> str:
    ordered = sorted(values.items(), key=lambda item: -item[1])
    text = ", ".join(f"{name} ({form.format(value)})" for name, value in ordered[:NAMED])
    return text + (f" and {len(ordered) - NAMED} more" if len(ordered) > NAMED else "")


def _names(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
