"""Reading a CSV file that says when a device is online."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ...yamlfile.spec_errors import SpecError
from ..text_table import (
    SECONDS_MAX,
    Line,
    Report,
    cells_of,
    named_mistakes,
    number_in,
    read_lines,
    separator_of,
    why_no_number,
)

TIME, ONLINE = "time_s", "online"
#: How the column of times may be called, and how many of its units are a second.
UNITS: Final[Mapping[str, int]] = {TIME: 1, "time_ms": 1000}
ROWS_MAX: Final = 100_000


def read_trace(path: Path, errors: list[SpecError]) -> tuple[list[float], list[bool]] | None:
    """Return times in seconds from the first row's, and whether the device is online from each on.

    None: something is wrong, which is among the errors.

    Raises:
        OSError: the file cannot be read.
    """
    mistakes: list[SpecError] = []
    found = _read(path, lambda line, text, hint: mistakes.append(SpecError(str(path), line, 0, "", text, hint)))
    errors += named_mistakes(path, mistakes)
    return None if mistakes else found


def _read(path: Path, report: Report) -> tuple[list[float], list[bool]] | None:
    lines = read_lines(path, f"a trace is a CSV file with the columns {TIME} and {ONLINE}", report)
    if lines is None:
        return None
    separator = separator_of(lines[0][1])
    columns = [name.lower() for name in cells_of(lines[0][1], separator)]
    unit = next((name for name in UNITS if sorted(columns) == sorted((name, ONLINE))), None)
    if unit is None:
        hint = f"they must be {TIME} and {ONLINE}, with a row for each change; windows are written without a file, as "
        report(lines[0][0], f"the columns are {', '.join(columns)[:80]}", f"{hint}[[from, to], ...]")
        return None
    if len(lines) == 1:
        report(0, "has no rows", "add at least one below the columns' names")
    elif len(lines) > ROWS_MAX:
        report(0, f"has {len(lines) - 1:,} rows, more than {ROWS_MAX:,}", "cut the trace")
        return None
    times: list[float] = []
    online: list[bool] = []
    for number, line in lines[1:]:
        row = _row(columns, (number, line), separator, unit, report)
        if row is None:
            continue
        if times and row[0] < times[-1] + 0.001:
            what = "time runs backwards" if row[0] < times[-1] else "less than a millisecond passes"
            report(number, f"{what} after the row of {times[-1]:.15g} s", "times must rise from row to row")
        times.append(row[0])
        online.append(row[1])
    return [time - times[0] for time in times], online


def _row(
    columns: Sequence[str], line: Line, separator: str | None, unit: str, report: Report
) -> tuple[float, bool] | None:
    number, text = line
    cells = cells_of(text, separator)
    if len(cells) != len(columns):
        report(number, f"{len(cells)} value{'' if len(cells) == 1 else 's'} for {len(columns)} columns", None)
        return None
    row = dict(zip(columns, cells, strict=True))
    time, online = row[unit], row[ONLINE]
    written = number_in(time)
    if written is None:
        report(number, f"{unit}: not a number: {time[:40] or 'nothing'}", why_no_number(time))
        return None
    seconds = written / UNITS[unit]
    if seconds > SECONDS_MAX:
        report(number, f"{unit}: {time[:40]} is thousands of years", "is it in another unit?")
        return None
    if online not in ("0", "1"):
        report(number, f"{ONLINE}: {online[:40] or 'nothing'} is neither 0 nor 1", "1 is online, 0 is offline")
        return None
    return seconds, online == "1"
