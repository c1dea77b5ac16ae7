"""The lab hosts of a run: how busy each was during the course, what of its processors it did not get, late packets."""

from __future__ import annotations

import csv
import math
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedsim_runner.contract.course_state import ONLY_HOST, CourseState
from fedsim_runner.contract.events import PacketsTimed
from fedsim_runner.contract.lenient import number
from fedsim_runner.contract.paths import HOST_LOAD
from fedsim_runner.contract.time_scale import TimeScale

from ..clocks import HostClock
from ..device_time import DeviceTime
from ..run_files import of_agents, read_device_time, read_host_clocks

if TYPE_CHECKING:
    from ..samples import Samples

# Columns of hosts.csv and keys of an entry of hosts in report.json.
FIELDS = (
    "lab_host",
    "devices",
    "cpus",
    "seconds",
    "mean_load",
    "largest_load",
    "mean_running",
    "busy_share",
    "largest_busy_share",
    "steal_seconds",
    "steal_share",
    "throttled_seconds",
    "others_seconds",
    "others_share",
    "contended",
    "busy_with_others",
    "packets",
    "packets_late_1ms",
    "packets_late_5ms",
    "latest_packet_us",
    "packet_scheduling",
    "clock_offset_s",
    "clock_bound_s",
)
# From these values on, the devices' times say something about their lab host.
CONTENDED_BUSY, CONTENDED_STEAL = 0.95, 0.02
# The Engine and the control node's own programs took 2 % of a lab host with two processors in the quickstart's course.
BUSY_WITH_OTHERS = 0.25
# From these shares of all packets on, links were not what was asked for. A few are late on any lab host.
UNPUNCTUAL_1MS, UNPUNCTUAL_5MS, LEAST_LATE = 0.01, 0.001, 10
_COLUMNS = ("t", "cpus", "load", "running", "busy_seconds", "steal_seconds")
_AGENT = "agent_seconds"  # not in runs of earlier versions

Sample = tuple[float, ...]


def build_hosts(
    run_dir: Path,
    course: CourseState,
    devices: Mapping[str, Mapping[str, Any]],
    usage: Mapping[str, Samples] | None = None,
) -> list[dict[str, Any]]:
    """Return one entry per lab host that was sampled, with the keys of :data:`FIELDS`.

    They are about the time from the opening of the gate to the end of the course; ``throttled_seconds`` are those of
    its devices, and ``others_seconds`` what was busy there without them and the agent. All of them are in wall time,
    which is that of lab hosts.

    Args:
        run_dir: the run folder.
        course: its course.
        devices: the report's.
        usage: the samples of each device, in device time.
    """
    outcome = course.outcome
    device_time = read_device_time(run_dir)
    begin = course.gate_opens
    end = course.last_t if outcome is None or outcome.t is None else outcome.t
    end = None if end is None else device_time.wall(end)
    names = {str(entry["lab_host"]) for entry in devices.values() if entry.get("lab_host")}
    others = set(of_agents(run_dir, HOST_LOAD)) - {ONLY_HOST}
    first = next(iter(sorted(names - others)), "local")
    clocks = read_host_clocks(run_dir)
    found = []
    for host, path in of_agents(run_dir, HOST_LOAD).items():
        samples = _between([(clocks[host].to_server(t), *rest) for t, *rest in _read(path)], begin, end)
        if samples:
            name = host if host != ONLY_HOST else first
            here = [device for device, entry in devices.items() if entry.get("lab_host") in (name, None)]
            own = [devices[device] for device in here]
            used = [usage[device] for device in here if device in (usage or {})] if usage else []
            timed = course.packets.get(name) or course.packets.get(host)
            besides = _others(samples, used, device_time)
            described = _describe(name, samples, own, device_time.scale)
            found.append({**described, **besides, **_punctuality(timed), **_clock(clocks[host])})
    return found


def describe_contention(hosts: Iterable[Mapping[str, Any]], is_dilated: bool = False) -> list[str]:
    """Describe the lab hosts that had too little, as sentences; ``is_dilated``: the devices' time is another one."""
    hosts = list(hosts)
    found = [
        f"Lab host {host['lab_host']} was short of processors: {(host['busy_share'] or 0.0) * 100:.0f} % of its "
        f"{host['cpus']} busy, {(host['steal_share'] or 0.0) * 100:.1f} % taken by its hypervisor, load up to "
        f"{host['largest_load']:.1f}. Times may say more about it than about the devices."
        for host in hosts
        if host["contended"]
    ]
    found += [
        f"Lab host {host['lab_host']} was busy with something else: programs other than the run's took "
        f"{host['others_share'] * 100:.0f} % of its processors."
        for host in hosts
        if host.get("busy_with_others")
    ]
    return found + [_describe_lateness(host, is_dilated) for host in hosts if _was_late(host)]


def _was_late(host: Mapping[str, Any]) -> bool:
    packets, slightly, much = (host.get(key) or 0 for key in ("packets", "packets_late_1ms", "packets_late_5ms"))
    return slightly >= LEAST_LATE and (slightly > UNPUNCTUAL_1MS * packets or much > UNPUNCTUAL_5MS * packets)


def _describe_lateness(host: Mapping[str, Any], is_dilated: bool) -> str:
    packets, slightly, much = (host[key] or 0 for key in ("packets", "packets_late_1ms", "packets_late_5ms"))
    some, many = (f"{count / packets * 100:.1f} %" for count in (slightly, much))
    return (
        f"Lab host {host['lab_host']} was late with packets: {some} of {packets} left more than 1 ms late, {many} more "
        f"than 5 ms, the latest by {(host['latest_packet_us'] or 0) / 1000:.1f} ms"
        f"{' of wall time' if is_dilated else ''} (scheduling of the packet process: {host['packet_scheduling']}). "
        "Links were slower than the experiment says."
    )


def _punctuality(timed: PacketsTimed | None) -> dict[str, Any]:
    """The columns about packets; None where the kernel holds them."""
    return {
        "packets": None if timed is None else timed.packets,
        "packets_late_1ms": None if timed is None else timed.late_1ms,
        "packets_late_5ms": None if timed is None else timed.late_5ms,
        "latest_packet_us": None if timed is None else timed.latest_us,
        "packet_scheduling": None if timed is None else timed.scheduling,
    }


def _clock(clock: HostClock) -> dict[str, Any]:
    """The columns about its clock; None where it is the one that counts."""
    return {
        "clock_offset_s": None if clock.is_right else round(clock.measured[-1][1], 6),
        "clock_bound_s": None if clock.bound_s is None else round(clock.bound_s, 6),
    }


def _describe(
    name: str, samples: Sequence[Sample], devices: Sequence[Mapping[str, Any]], scale: TimeScale
) -> dict[str, Any]:
    loads, running = [sample[2] for sample in samples], [sample[3] for sample in samples]
    cpus, seconds = int(samples[-1][1]), samples[-1][0] - samples[0][0]
    busy = _shares(samples, 4)
    # An observer runs whenever it looks: the agent itself is no load.
    steal_seconds = max(0.0, samples[-1][5] - samples[0][5])
    whole = seconds * cpus
    busy_share = max(0.0, samples[-1][4] - samples[0][4]) / whole if whole else None
    steal_share = steal_seconds / whole if whole else None
    throttled = [entry["throttled_seconds"] for entry in devices if entry.get("throttled_seconds") is not None]
    contended = (busy_share or 0.0) >= CONTENDED_BUSY or (steal_share or 0.0) >= CONTENDED_STEAL
    return {
        "lab_host": name,
        "devices": len(devices),
        "cpus": cpus,
        "seconds": round(seconds, 3),
        "mean_load": round(statistics.fmean(loads), 3),
        "largest_load": max(loads),
        "mean_running": round(max(0.0, statistics.fmean(running) - 1), 3),
        "busy_share": _rounded(busy_share),
        "largest_busy_share": _rounded(max(busy, default=None)),
        "steal_seconds": round(steal_seconds, 3),
        "steal_share": _rounded(steal_share),
        "throttled_seconds": round(scale.to_wall(sum(throttled)), 3) if throttled else None,
        "contended": contended,
    }


def _others(samples: Sequence[Sample], devices: Iterable[Samples], device_time: DeviceTime) -> dict[str, Any]:
    """The columns about what else ran there; None where the agent's own share is not known."""
    begin, end = samples[0], samples[-1]
    whole, agent = (end[0] - begin[0]) * end[1], end[6] - begin[6]
    if whole <= 0 or math.isnan(agent):
        return {"others_seconds": None, "others_share": None, "busy_with_others": False}
    first, last = device_time.at(begin[0]), device_time.at(end[0])
    own = agent + sum(_used(one, first, last) for one in devices)
    seconds = max(0.0, end[4] - begin[4] - own)
    share = _rounded(seconds / whole) or 0.0
    return {
        "others_seconds": round(seconds, 3),
        "others_share": share,
        "busy_with_others": share >= BUSY_WITH_OTHERS,
    }


def _used(one: Samples, begin: float, end: float) -> float:
    """Processor seconds of a device meanwhile; its counter begins anew with each container."""
    times: list[float] = one.times.tolist()
    used: list[float] = one.cpu.tolist()
    known = [value for t, value in zip(times, used, strict=True) if begin <= t <= end and not math.isnan(value)]
    return sum(max(0.0, after - before) for before, after in pairwise(known))


def _between(samples: Sequence[Sample], begin: float | None, end: float | None) -> Sequence[Sample]:
    """Return the samples from the last one before ``begin`` to the first one after ``end``.

    A course may be shorter than the time between two of them.
    """
    times = [sample[0] for sample in samples]
    first = 0 if begin is None else max(0, bisect_right(times, begin) - 1)
    last = len(samples) if end is None else bisect_left(times, end) + 1
    return samples[first:last]


def _shares(samples: Sequence[Sample], column: int) -> list[float]:
    """Return the share of all processors between each two samples."""
    found = []
    for before, after in pairwise(samples):
        seconds = (after[0] - before[0]) * after[1]
        if seconds > 0:
            found.append(min(1.0, max(0.0, after[column] - before[column]) / seconds))
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(min(1.0, value), 4)


def _read(path: Path) -> list[Sample]:
    """Return the samples of one lab host in order; damaged lines are left out."""
    found = []
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as stream:
            for line in csv.DictReader(stream):
                values = [number(line.get(name)) for name in _COLUMNS]
                known = [value for value in values if value is not None]
                if len(known) == len(values) and known[1] >= 1:
                    agent = number(line.get(_AGENT))
                    found.append((*known, math.nan if agent is None else agent))
    except (OSError, csv.Error):
        return found
    return sorted(found)
