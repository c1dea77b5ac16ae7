"""What participants log, from their containers or from the run folder: several together, in the order of time."""

from __future__ import annotations

import difflib
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..contract.errors import Exit, FedsimError
from ..results.run_files import read_devices
from ..runs.lookup import KnownRun, find_run
from ..runs.registry import Registry
from ..testbed.docker.ansible_events import ANSI
from ..testbed.docker.engine import LabEngine, NoEngineError, lab_engine

LOG_NAMES = ("course/exp_print.log", "console.log")
# Lines of several devices that come within this time are put in the order of their own times.
SETTLE_S = 0.3
LOOK_EVERY_S = 0.3
SHOWN_NAMES = 8
# How Python's logging begins a line, in whatever format follows.
TIME = re.compile(r"(\d{4}-\d\d-\d\d [\d:]{8},\d{3}) ")


@dataclass(frozen=True)
class Line:
    """A line of a device's log without colours; ``at`` orders lines of several devices."""

    device: str
    text: str
    at: tuple[Any, ...] = ()


def log_lines(run: str, devices: Sequence[str], follow: bool, tail: int) -> tuple[list[str], Iterator[Line]]:
    """Names of the devices (all if none are named) and their lines, which come while they are written with ``follow``.

    Args:
        tail: only the last lines of each device; 0: all.

    Raises:
        FedsimError: the run has no such device, or nothing of it is left.
    """
    known = find_run(run)
    try:
        with lab_engine(timeout_s=60) as engine:
            containers = engine.containers(run, "device")
    except NoEngineError:
        if not _files(known):
            raise
        containers = {}
    if containers:
        names = _chosen(run, devices, containers)
        return names, _container_lines({name: containers[name]["Id"] for name in names}, follow, tail)
    files = _files(known)
    going_on = known.entry is not None and known.entry.alive and known.entry.state == "running"
    if not files:
        there = _planned(known)
        if there:
            _chosen(run, devices, there)
        raise FedsimError(f"run {run}: there is no container and nothing was collected", Exit.SPEC)
    names = _chosen(run, devices, files)
    chosen = {name: files[name] for name in names}
    return names, _growing_lines(run, chosen, tail) if follow and going_on else iter(_file_lines(chosen, tail))


def in_order(
    lines: queue.Queue[Line | None], sources: int, clock: Callable[[], float] = time.monotonic
) -> Iterator[Line]:
    """Lines of several sources by their time, as far as they come together; each source ends with None."""
    waiting: list[Line] = []
    since = clock()
    while sources or waiting:
        try:
            line = lines.get(timeout=SETTLE_S) if sources else None
            if line is None:
                sources -= 1 if sources else 0
            else:
                waiting.append(line)
            quiet = not sources
        except queue.Empty:
            quiet = True
        if waiting and (quiet or clock() - since >= 2 * SETTLE_S):
            yield from sorted(waiting, key=lambda item: item.at)
            waiting = []
        if not waiting:
            since = clock()


def _chosen(run: str, wanted: Sequence[str], there: Mapping[str, object]) -> list[str]:
    if not wanted:
        return list(there)
    for name in wanted:
        if name not in there:
            near = difflib.get_close_matches(name, there, n=3, cutoff=0.4)
            names = sorted(there)
            more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
            mend = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(names[:SHOWN_NAMES])}{more}"
            raise FedsimError(f"run {run} has no device {name}: {mend}", Exit.SPEC)
    return list(dict.fromkeys(wanted))


def _container_lines(containers: Mapping[str, str], follow: bool, tail: int) -> Iterator[Line]:
    lines: queue.Queue[Line | None] = queue.Queue()

    def read(engine: LabEngine, name: str, identifier: str) -> None:
        try:
            kept = b""
            stream = engine.client.api.logs(identifier, stream=True, follow=follow, tail=tail or "all", timestamps=True)
            for chunk in stream:
                *whole, kept = (kept + chunk).split(b"\n")
                for line in whole:
                    lines.put(_stamped(name, line))
            if kept:
                lines.put(_stamped(name, kept))
        except Exception:
            # The container or the Engine has gone, in whatever way docker-py says so: the log ends here.
            return
        finally:
            lines.put(None)

    with lab_engine(timeout_s=60) as engine:
        for name, identifier in containers.items():
            thread = threading.Thread(target=read, args=(engine, name, identifier), daemon=True)
            thread.start()
            if not follow:
                thread.join()
        yield from in_order(lines, len(containers))


def _stamped(device: str, line: bytes) -> Line:
    """A line of the Engine's: its time (RFC 3339 with nine digits, so that text sorts) and what was written."""
    moment, _, text = line.decode(errors="replace").partition(" ")
    return Line(device, _clean(text), (moment,))


def _files(known: KnownRun) -> dict[str, Path]:
    if known.folder is None:
        return {}
    found = {}
    for folder in sorted(path for path in (known.folder / "collected").glob("*") if path.is_dir()):
        path = next((folder / name for name in LOG_NAMES if (folder / name).is_file()), None)
        if path is not None:
            found[folder.name] = path
    order = list(_planned(known))
    return dict(sorted(found.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order)))


def _planned(known: KnownRun) -> dict[str, Any]:
    return {} if known.folder is None else read_devices(known.folder)[0]


def _file_lines(files: Mapping[str, Path], tail: int) -> list[Line]:
    lines: list[Line] = []
    for name, path in files.items():
        texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
        lines += _timed(name, texts[-tail:] if tail else texts)
    return sorted(lines, key=lambda line: line.at)


def _timed(device: str, texts: Sequence[str]) -> Iterator[Line]:
    """Lines with the time they begin with; one without, as of a traceback, belongs to the line before."""
    last = 0.0
    for text in texts:
        last = max(last, written_at(text) or last)
        yield Line(device, _clean(text), (last,))


def written_at(line: str) -> float | None:
    """Unix seconds that a line begins with; None if it begins with something else, as in a traceback.

    Log lines carry local time without a zone: participant and reader have the same one, all containers being on UTC.
    """
    match = TIME.match(_clean(line))
    if match is None:
        return None
    try:
        return round(datetime.strptime(match.group(1), "%Y-%m-%d %H:%M:%S,%f").timestamp(), 3)
    except (ValueError, OverflowError):
        return None  # looks like a time and is none


def _growing_lines(run: str, files: Mapping[str, Path], tail: int) -> Iterator[Line]:
    """Of plain processes, whose logs are written where they are collected, until their run ends."""
    growths = {name: _Growth(path) for name, path in files.items()}
    while True:
        entry = Registry().find(run)
        ended = entry is None or not entry.alive or entry.state != "running"
        fresh = [line for name, growth in growths.items() for line in _timed(name, growth.lines(ended)[-tail:])]
        tail = 0  # of what was there at first
        yield from sorted(fresh, key=lambda line: line.at)
        if ended:
            return
        time.sleep(LOOK_EVERY_S)


class _Growth:
    """Lines of a file that were added since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def lines(self, last: bool) -> list[str]:
        """New lines; with ``last`` also one that was not ended."""
        with self._path.open("rb") as stream:
            stream.seek(self._offset)
            data = stream.read()
        end = len(data) if last else data.rfind(b"\n") + 1
        self._offset += end
        return data[:end].decode(errors="replace").splitlines()


def _clean(text: str) -> str:
    return ANSI.sub("", text).rstrip("\r")
