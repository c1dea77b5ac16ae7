"""CSV traces: a first line with the columns' names, then a row for each time at which the link changes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ...catalog.suggestions import suggestion
from ...contract.link_variation import Track
from .mahimahi import Report

TIME: Final = "time_s"
#: Columns with the least and the largest value of each, as in network profiles; loss may be 1: nothing passes.
LIMITS: Final[Mapping[str, tuple[float, float]]] = {
    "rate_up_kbps": (1, 100_000_000),
    "rate_down_kbps": (1, 100_000_000),
    "latency_ms": (0, 60_000),
    "loss": (0, 1),
}
#: The last row lasts as long as the one before it; a single one for so long.
SINGLE_MS: Final = 1000


@dataclass(frozen=True)
class _Row:
    at_s: float
    values: Mapping[str, float]


def read_csv(lines: Sequence[tuple[int, str]], report: Report) -> tuple[Track, Track] | None:
    """Read the lines of a trace, given with their numbers, as tracks up and down; None: it is wrong, which is reported.

    Times count from the first row's, so they may be of any clock.
    """
    columns = _read_columns(*lines[0], report)
    if columns is None:
        return None
    if len(lines) == 1:
        report(0, "has no rows", "add at least one below the columns' names")
        return None
    rows = [row for number, line in lines[1:] if (row := _read_row(columns, number, line, report)) is not None]
    if len(rows) != len(lines) - 1:
        return None
    at_ms = [round((row.at_s - rows[0].at_s) * 1000) for row in rows]
    for (number, _), before, after in zip(lines[2:], at_ms, at_ms[1:], strict=False):
        if after <= before:
            seconds = f"{rows[at_ms.index(before)].at_s:g} s"
            what = "time runs backwards" if after < before else "less than a millisecond passes"
            report(number, f"{what} after the row of {seconds}", "times must rise from row to row")
            return None
    length_ms = at_ms[-1] + (at_ms[-1] - at_ms[-2] if len(rows) > 1 else SINGLE_MS)

    def track(rate: str) -> Track:
        rates, delays, losses = (_column(rows, name) for name in (rate, "latency_ms", "loss"))
        return Track(
            at_ms=tuple(at_ms),
            length_ms=length_ms,
            rate_bps=None if rates is None else tuple(round(value * 1000) for value in rates),
            delay_us=None if delays is None else tuple(round(value * 1000) for value in delays),
            loss=None if losses is None else tuple(losses),
        )

    return track("rate_up_kbps"), track("rate_down_kbps")


def _read_columns(number: int, line: str, report: Report) -> list[str] | None:
    columns = [name.strip().strip('"').lower() for name in line.split(",")]
    known = [TIME, *LIMITS]
    if TIME not in columns:
        hint = f"the first line names the columns: {TIME}, and any of {', '.join(LIMITS)}, separated by commas"
        report(number, f"no column {TIME}", hint)
        return None
    unknown = [name for name in columns if name not in known]
    for name in unknown:
        report(number, f'unknown column "{name}"', suggestion(name, known))
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        report(number, f'column "{twice}" is there twice', "remove one of them")
    elif columns == [TIME]:
        report(number, "only times, and nothing that changes", f"add a column: {', '.join(LIMITS)}")
    elif not unknown:
        return columns
    return None


def _read_row(columns: Sequence[str], number: int, line: str, report: Report) -> _Row | None:
    cells = [cell.strip().strip('"') for cell in line.split(",")]
    if len(cells) != len(columns):
        report(number, f"{len(cells)} values for {len(columns)} columns", None)
        return None
    values: dict[str, float] = {}
    for name, cell in zip(columns, cells, strict=True):
        value = _number(cell)
        if value is None:
            report(number, f"{name}: not a number: {cell[:40] or 'nothing'}", None)
            return None
        low, high = LIMITS.get(name, (-math.inf, math.inf))
        if value < low:
            outage = "write loss 1 where nothing passes" if name.startswith("rate") else None
            report(number, f"{name}: {value:g} is below {low:g}, the least that a link can have", outage)
            return None
        if value > high:
            report(number, f"{name}: {value:g} is above {high:g}, the most that a link can have", None)
            return None
        values[name] = value
    return _Row(values.pop(TIME), values)


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in cell else None


def _column(rows: Iterable[_Row], name: str) -> list[float] | None:
    found = [row.values[name] for row in rows if name in row.values]
    return found or None
