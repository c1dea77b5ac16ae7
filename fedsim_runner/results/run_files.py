"""Reading the files of a run. Any of them may be missing, cut short or damaged: the rest still counts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..contract.course_state import ONLY_HOST, CourseState
from ..contract.device_file import convert_to_current_version
from ..contract.events import Event, parse_line
from ..contract.paths import CONTAINERS, DEVICE_FILE, DEVICE_FILES, INVENTORY, JOURNAL, LEFT_OUT, MANIFEST
from ..contract.plain_folder import read_plain
from ..contract.time_scale import read_factor
from .clocks import WALL, HostClock, read_clocks, to_server_clock
from .device_time import DeviceTime, convert_device

# Holds the journals of a run's other lab hosts, in one folder each.
AGENTS = "agents"


def read_json(path: Path, most: int | None = None) -> dict[str, Any]:
    """Return a JSON object; empty if the file is missing, damaged, or longer than ``most`` bytes."""
    try:
        text = read_plain(path, -1 if most is None else most + 1)
        loaded = {} if most is not None and len(text) > most else json.loads(text.decode())
    except (OSError, ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def read_manifest(run_dir: Path) -> dict[str, Any]:
    """Return the run's manifest, empty if it is missing or damaged. fedsim-runner 0.1.0 called patches "mends"."""
    manifest = read_json(run_dir / MANIFEST)
    return {"patches_off" if key == "mends_off" else key: value for key, value in manifest.items()}


def read_journal(run_dir: Path) -> list[Event]:
    """Return the events of all lab hosts' journals in order of time, by the clock of the server's lab host.

    In a dilated run they are in device time (:mod:`.device_time`). A line cut short by a crash is left out.
    """
    events: list[Event] = []
    for lab_host, path in of_agents(run_dir, JOURNAL).items():
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        own = [event for line in lines if (event := parse_line(line, lab_host)) is not None]
        events += to_server_clock(own, HostClock.of(own))
    device_time = DeviceTime.of(events)
    return sorted(map(device_time.convert, events), key=lambda event: event.t or 0.0)


def read_host_clocks(run_dir: Path) -> dict[str, HostClock]:
    """Return the clock of each lab host, under the names that :func:`of_agents` has for them."""
    return read_clocks(of_agents(run_dir, JOURNAL))


def read_device_time(run_dir: Path) -> DeviceTime:
    """Return how fast the devices' time went in a run, according to its journals."""
    return next((clock.device_time for clock in read_host_clocks(run_dir).values()), WALL)


def read_course(run_dir: Path) -> CourseState:
    """Return the course according to the journals of the run's lab hosts."""
    return build_course(run_dir, read_journal(run_dir))


def build_course(run_dir: Path, events: Sequence[Event]) -> CourseState:
    """Return the course according to the events of the run's journals."""
    lab_hosts = {event.lab_host or ONLY_HOST for event in events} | set(_other_hosts(run_dir))
    if not lab_hosts - set(_other_hosts(run_dir)):
        lab_hosts.add(ONLY_HOST)  # the first one's journal is missing or empty
    return CourseState(lab_hosts).apply_all(events)


def read_containers(run_dir: Path) -> dict[str, dict[str, Any]]:
    """Return what the Engines knew about the devices' containers, by device."""
    found = [read_json(path) for path in of_agents(run_dir, CONTAINERS).values()]
    return {name: facts for part in found for name, facts in part.items() if isinstance(facts, dict)}


def read_left_out(run_dir: Path) -> list[str]:
    """Return which files of devices were not collected, each with its reason."""
    found: list[str] = []
    for path in of_agents(run_dir, LEFT_OUT).values():
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        found += [entry for entry in entries if isinstance(entry, str)] if isinstance(entries, list) else []
    return found


def of_agents(run_dir: Path, name: str) -> dict[str, Path]:
    """Return one file per lab host; that of the first one is in the run folder itself."""
    return {ONLY_HOST: run_dir / name, **{host: run_dir / AGENTS / host / name for host in _other_hosts(run_dir)}}


def _other_hosts(run_dir: Path) -> list[str]:
    return sorted(path.name for path in (run_dir / AGENTS).glob("*") if path.is_dir())


def read_devices(run_dir: Path, inventory_dir: Path | None = None) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Return the run's devices by name, from its device files, and the facts about the run from the first of these.

    In a dilated run the devices are as the experiment has them; in the files they are as lab hosts put them into force.
    """
    folders = [run_dir / INVENTORY, run_dir] if inventory_dir is None else [inventory_dir]
    for folder in folders:
        devices, first = _devices_of(sorted((folder / DEVICE_FILES).glob("*.json")))
        if devices:
            return devices, first
    # As they were fetched from the lab hosts, on another control node than the one that made them.
    return _devices_of([path for path in of_agents(run_dir, DEVICE_FILE).values() if path.is_file()])


def _devices_of(paths: Sequence[Path]) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    contents = [_device_file(path) for path in paths]
    devices = {
        device["name"]: {
            "lab_host": content.get("lab_host"),
            **convert_device(device, read_factor(content.get("time_factor"))),
        }
        for content in contents
        for device in content.get("devices") or []
        if isinstance(device, dict) and isinstance(device.get("name"), str)
    }
    ordered = dict(sorted(devices.items(), key=lambda item: item[1].get("index") or 0))
    return ordered, contents[0] if devices else {}


def _device_file(path: Path) -> dict[str, Any]:
    found = read_json(path)
    return convert_to_current_version(found, f"device file {path}") if "version" in found else found
