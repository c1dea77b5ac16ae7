"""The devices of a run: the outcome and the usage of each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedsim_runner.contract.course_state import ENDED, CourseState, DeviceState
from fedsim_runner.contract.lenient import flag, lines, number, text, whole
from fedsim_runner.contract.log_text import shown
from fedsim_runner.contract.paths import COLLECTED, EXIT_RECORD
from fedsim_runner.contract.time_scale import TimeScale

from ..run_files import read_containers, read_json
from .client_results import DEVICE_FIELDS as RESULT_FIELDS
from .time_split import DEVICE_FIELDS

if TYPE_CHECKING:
    from ..samples import Samples

# Columns of devices.csv and keys of a device in report.json, in this order.
FIELDS = (
    "type",
    "role",
    "engine",
    "network",
    "lab_host",
    "address",
    "state",
    "exit_code",
    "oom_killed",
    "error",
    "bytes_up",
    "bytes_down",
    "memory_peak_bytes",
    "memory_limit_bytes",
    "cpus",
    "reference",
    "reference_seconds",
    "cpu_seconds",
    "throttled_seconds",
    "periods",
    "throttled_periods",
    "course_seconds",
    "loading_seconds",
    "startup_cpu_seconds",
    "client_id",
    "rate_up_bps",
    "rate_down_bps",
    "delay_up_us",
    "delay_down_us",
    "jitter_up_us",
    "jitter_down_us",
    "loss_up",
    "loss_down",
    "way",
    "round_trip_us",
    "lost",
    "oom_kills",
    "packets_dropped",
    "joules",
    *DEVICE_FIELDS,
    *RESULT_FIELDS,
)


# Of a participant's record of its end: bytes, and the largest value of a figure.
LONGEST_RECORD = 1 << 16
LARGEST = 1e15


def build_devices(
    run_dir: Path,
    placed: dict[str, dict[str, Any]],
    paths: object,
    course: CourseState,
    samples: Mapping[str, Samples],
) -> dict[str, dict[str, Any]]:
    """Return one entry per device with the keys of :data:`FIELDS`; what is unknown is None.

    The keys of :data:`~.time_split.DEVICE_FIELDS` and :data:`~.client_results.DEVICE_FIELDS` are None here: they are
    filled from the activity, and from what clients reported.
    ``placed`` are the devices from the device files; devices that appear only in the journal or
    in ``collected/`` are added. ``paths`` are those of clients to the server, by name, from the plan.
    """
    ways = paths if isinstance(paths, dict) else {}
    names = list(placed)
    collected = run_dir / COLLECTED
    if collected.is_dir():
        names += sorted(path.name for path in collected.iterdir() if path.is_dir() and path.name not in placed)
    known = set(names)
    names += [name for name in course.devices if name not in known]
    containers = read_containers(run_dir)
    return {
        name: _device(
            placed.get(name, {}) | _way(ways.get(name)),
            _with_end(course.devices.get(name, DeviceState()), containers.get(name, {})),
            samples[name].largest if name in samples else {},
            samples[name].earlier if name in samples else {},
            collected / name,
            course.time_scale,
            course.lost_hosts,
        )
        for name in names
    }


def _device(
    placed: dict[str, Any],
    seen: DeviceState,
    measured: Mapping[str, float],
    earlier: Mapping[str, float],
    folder: Path,
    scale: TimeScale,
    lost_hosts: Collection[str],
) -> dict[str, Any]:
    # The participant's own words: only plausible figures count. They are those of its last process.
    end = read_json(folder / EXIT_RECORD, LONGEST_RECORD)
    error = end.pop("error", None)
    end = {key: figure for key, value in end.items() if (figure := number(value)) is not None and 0 <= figure < LARGEST}
    for key in end.keys() & earlier.keys():
        end[key] += earlier[key]
    started, ended = end.get("gate_opened"), end.get("ended")
    compute = placed.get("compute") or {}  # of a nominal device nothing
    entry: dict[str, Any] = dict.fromkeys(FIELDS)
    entry.update({key: placed.get(key) for key in ("type", "role", "engine", "network", "lab_host", "address", "cpus")})
    entry.update(
        way=placed.get("way"),
        round_trip_us=placed.get("round_trip_us"),
        state=seen.state,
        exit_code=_first(seen.exit_code, whole(end.get("exit_code"))),
        oom_killed=seen.oom_killed,
        error=shown(text(error) or "") or seen.error,
        bytes_up=_whole_or(end.get("tx_bytes"), measured.get("tx_bytes")),
        bytes_down=_whole_or(end.get("rx_bytes"), measured.get("rx_bytes")),
        memory_peak_bytes=_largest(end.get("memory_peak_bytes"), measured.get("memory_peak_bytes")),
        memory_limit_bytes=whole(placed.get("memory_bytes")),
        reference=shown(text(compute.get("reference")) or "") or None,
        reference_seconds=number(compute.get("seconds")),
        cpu_seconds=_first(end.get("cpu_seconds"), _largest(measured.get("cpu_seconds"))),
        throttled_seconds=_largest(measured.get("throttled_seconds")),
        periods=whole(measured.get("periods")),
        throttled_periods=whole(measured.get("throttled_periods")),
        course_seconds=None if started is None or ended is None else round(scale.to_device(ended - started), 3),
        loading_seconds=_loading(seen),
        startup_cpu_seconds=end.get("startup_cpu_seconds"),
        client_id=seen.client_id,
        lost=seen.lost,
        oom_kills=_oom_kills(seen, measured),
        packets_dropped=whole(measured.get("packets_dropped")),
        **_link(placed.get("link")),
    )
    if entry["oom_killed"]:
        # It reached its limit between the last sample and its end.
        entry["memory_peak_bytes"] = _largest(entry["memory_peak_bytes"], entry["memory_limit_bytes"])
    if entry["state"] is None and end:
        entry["state"] = "finished" if entry["exit_code"] == 0 else "failed"
    if entry["lab_host"] in lost_hosts and entry["state"] not in ENDED:
        entry["state"] = "lost"  # whatever it was doing when its lab host was heard last
    return entry


def _way(path: object) -> dict[str, Any]:
    """Return what is between a client and the server, and the delay of the way there and back, in microseconds."""
    if not isinstance(path, dict):
        return {}
    round_trip_us = number((number(path.get("round_trip_s")) or 0.0) * 1e6)
    way = shown(" > ".join(lines(path.get("sites"))))
    return {"way": way or None, "round_trip_us": None if round_trip_us is None else round(round_trip_us)}


def _loading(seen: DeviceState) -> float | None:
    """Return the seconds in which the device loaded its engine, before the gate opened and without its CPU limit."""
    began, ready = seen.loading_at, seen.ready_at
    return None if began is None or ready is None else round(max(0.0, ready - began), 3)


def _oom_kills(seen: DeviceState, measured: Mapping[str, float]) -> int | None:
    """Return the kernel's count of kills; a device that was killed between two samples has at least one."""
    counted: int | None = whole(measured.get("oom_kills"))
    return max(counted or 0, 1) if seen.oom_killed else counted


def _link(link: object) -> dict[str, Any]:
    """Return the requested link; without limits all values are None."""
    found: dict[str, int | float | None] = {}
    for way in ("up", "down"):
        side = link.get(way) if isinstance(link, dict) else None
        side = side if isinstance(side, dict) else {}
        found[f"rate_{way}_bps"] = whole(side.get("rate_bps"))
        found[f"delay_{way}_us"] = whole(side.get("delay_us"))
        found[f"jitter_{way}_us"] = whole(side.get("jitter_us"))
        found[f"loss_{way}"] = number(side.get("loss"))
    return found


def _with_end(seen: DeviceState, facts: dict[str, Any]) -> DeviceState:
    """Add what the Engine knows about a container's end and the journal does not contain."""
    if facts.get("status") != "exited":
        return seen
    return replace(
        seen,
        state=_first(seen.state, "exited"),
        exit_code=_first(seen.exit_code, whole(facts.get("exit_code"))),
        oom_killed=_first(seen.oom_killed, flag(facts.get("oom_killed"))),
    )


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _whole_or(value: object, otherwise: float | None) -> int | None:
    found = whole(value)
    return whole(otherwise) if found is None else found


def _largest(*values: object) -> Any:
    found = [value for value in map(number, values) if value is not None]
    if not found:
        return None
    largest = max(found)
    return int(largest) if largest == int(largest) else largest
