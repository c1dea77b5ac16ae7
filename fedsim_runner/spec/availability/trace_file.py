"""Reading a CSV file that says when a device is online."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ...yamlfile.spec_errors import SpecError

TIME, ONLINE = "time_s", "online"
SIZE_MAX: Final = 64 * 2**20
ROWS_MAX: Final = 100_000
#: Of so many mistakes in one file each is named.
NAMED_MAX: Final = 10

Report = Callable[[int, str, str | None], None]


def read_trace(path: Path, errors: list[SpecError]) -> tuple[list[float], list[bool]] | None:
    """Return times in seconds from the first row's, and whether the device is online from each on.

    Blank lines and lines that begin with ``#`` are skipped. None: something is wrong, which is among the errors.

    Raises:
        OSError: the file cannot be read.
    """
    mistakes: list[SpecError] = []
    found = _read(path, lambda line, text, hint: mistakes.append(SpecError(str(path), line, 0, "", text, hint)))
    errors += mistakes[:NAMED_MAX]
    if len(mistakes) > NAMED_MAX:
        rest = f"and {len(mistakes) - NAMED_MAX} more mistakes from here on"
        errors.append(SpecError(str(path), mistakes[NAMED_MAX].line, 0, "", rest))
    return None if mistakes else found


def _read(path: Path, report: Report) -> tuple[list[float], list[bool]] | None:
    if path.stat().st_size > SIZE_MAX:
        report(0, f"is larger than {SIZE_MAX >> 20} MB", "cut the trace")
        return None
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        report(0, "is no text", f"a trace is a CSV file with the columns {TIME} and {ONLINE}")
        return None
    numbered = ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1))
    lines = [(number, line) for number, line in numbered if line and not line.startswith("#")]
    if not lines:
        report(0, "is empty", f"a trace has a line with the columns' names, {TIME} and {ONLINE}, and rows")
        return None
    columns = [name.strip().strip('"').lower() for name in lines[0][1].split(",")]
    if sorted(columns) != sorted((TIME, ONLINE)):
        report(lines[0][0], f"the columns are {', '.join(columns)[:80]}", f"they must be {TIME} and {ONLINE}")
        return None
    if len(lines) == 1:
        report(0, "has no rows", "add at least one below the columns' names")
    elif len(lines) > ROWS_MAX:
        report(0, f"has {len(lines) - 1:,} rows, more than {ROWS_MAX:,}", "cut the trace")
        return None
    times: list[float] = []
    online: list[bool] = []
    for number, line in lines[1:]:
        row = _row(dict(zip(columns, line.split(","), strict=False)), number, report)
        if row is None:
            continue
        if times and row[0] < times[-1] + 0.001:
            what = "time runs backwards" if row[0] < times[-1] else "less than a millisecond passes"
            report(number, f"{what} after the row of {times[-1]:g} s", "times must rise from row to row")
        times.append(row[0])
        online.append(row[1])
    return [time - times[0] for time in times], online


def _row(cells: dict[str, str], number: int, report: Report) -> tuple[float, bool] | None:
    time, online = (cells.get(name, "").strip().strip('"') for name in (TIME, ONLINE))
    try:
        seconds = float(time)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        report(number, f"{TIME}: not a number: {time[:40] or 'nothing'}", None)
        return None
    if online not in ("0", "1"):
        report(number, f"{ONLINE}: {online[:40] or 'nothing'} is neither 0 nor 1", "1 is online, 0 is offline")
        return None
    return seconds, online == "1"
