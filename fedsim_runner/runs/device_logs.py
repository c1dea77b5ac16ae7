"""Log lines of participants, from their containers or from the run folder, merged by time."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ..contract.errors import Exit, FedsimError
from ..contract.log_text import clean
from ..contract.paths import COLLECTED
from ..contract.plain_folder import require_plain
from ..results.run_files import read_devices
from ..testbed.device_names import select_devices
from ..testbed.protocol import Testbed
from ..testbed.values import Line, UnreachableError
from .hold import is_held
from .labs import NO_OPTIONS, LabOptions
from .lookup import KnownRun, find_run, testbed_of
from .silent_hosts import describe_silent

LOG_NAMES = ("course/exp_print.log", "console.log")
POLL_EVERY_S = 0.3
# The timestamp with which Python's logging begins a line, whatever format follows.
TIME = re.compile(r"(\d{4}-\d\d-\d\d [\d:]{8},\d{3}) ")


def log_lines(
    run: str,
    devices: Sequence[str],
    follow: bool,
    tail: int,
    testbed: Testbed | None = None,
    lab: LabOptions = NO_OPTIONS,
) -> tuple[Sequence[str], Iterator[Line], Sequence[str]]:
    """Return the names of the devices (all if none is named), their log lines, and why lab hosts do not answer.

    Args:
        follow: go on as new lines are written.
        tail: only the last lines of each device; 0: all.
        testbed: where the run is, if not on the testbed that it was started on.
        lab: where it is, if not on the lab that it was started on.

    Raises:
        FedsimError: the run has no such device, or nothing of it is left.
    """
    known = find_run(run)
    try:
        if found := (testbed or testbed_of(known, lab)).logs(run, devices, follow, tail):
            names, lines, silent = found
            return names, lines, describe_silent(silent, _planned(known)) if silent else ()
    except UnreachableError:
        if not _files(known):
            raise
    files = _files(known)
    going_on = is_held(run)
    if not files:
        planned = _planned(known)
        if planned:
            select_devices(run, devices, planned)
        raise FedsimError(f"run {run}: there is no container and nothing was collected", Exit.SPEC)
    names = select_devices(run, devices, files)
    chosen = {name: files[name] for name in names}
    return names, _growing_lines(run, chosen, tail) if follow and going_on else iter(_file_lines(chosen, tail)), ()


def _files(known: KnownRun) -> dict[str, Path]:
    if known.folder is None:
        return {}
    require_plain(known.folder)
    found = {}
    for folder in sorted(path for path in (known.folder / COLLECTED).glob("*") if path.is_dir()):
        path = next((folder / name for name in LOG_NAMES if (folder / name).is_file()), None)
        if path is not None:
            found[folder.name] = path
    order = list(_planned(known))
    return dict(sorted(found.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order)))


def _planned(known: KnownRun) -> dict[str, Any]:
    if known.folder is None:
        return {}
    require_plain(known.folder)
    return read_devices(known.folder)[0]


def _file_lines(files: Mapping[str, Path], tail: int) -> list[Line]:
    lines: list[Line] = []
    for name, path in files.items():
        texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
        lines += _timed(name, texts[-tail:] if tail else texts)
    return sorted(lines, key=lambda line: line.at)


def _timed(device: str, texts: Sequence[str]) -> Iterator[Line]:
    """Lines with their own timestamps; a line without one, as in a traceback, belongs to the line before."""
    last = 0.0
    for text in texts:
        last = max(last, written_at(text) or last)
        yield Line(device, text.rstrip("\r"), (last,))


def written_at(line: str) -> float | None:
    """The timestamp of a line in unix seconds; None if it does not begin with one, as in a traceback.

    Log lines carry local time without a zone. Participant and reader are in the same zone; all containers use UTC.
    """
    match = TIME.match(clean(line))
    if match is None:
        return None
    try:
        return round(datetime.strptime(match.group(1), "%Y-%m-%d %H:%M:%S,%f").timestamp(), 3)
    except (ValueError, OverflowError):
        return None  # looks like a time but is not one


def _growing_lines(run: str, files: Mapping[str, Path], tail: int) -> Iterator[Line]:
    """New lines until the run ends. Plain processes write their logs directly into the run folder."""
    growths = {name: _Growth(path) for name, path in files.items()}
    while True:
        ended = not is_held(run)
        fresh = [line for name, growth in growths.items() for line in _timed(name, growth.lines(ended)[-tail:])]
        tail = 0  # it only applies to the lines that were there at first
        yield from sorted(fresh, key=lambda line: line.at)
        if ended:
            return
        time.sleep(POLL_EVERY_S)


class _Growth:
    """Reads the lines that were added to a file since the last call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def lines(self, last: bool) -> list[str]:
        """New lines; with ``last`` also an unfinished one."""
        with self._path.open("rb") as stream:
            stream.seek(self._offset)
            data = stream.read()
        end = len(data) if last else data.rfind(b"\n") + 1
        self._offset += end
        return data[:end].decode(errors="replace").splitlines()
