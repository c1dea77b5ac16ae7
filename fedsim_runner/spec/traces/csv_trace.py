"""Traces as tables: a first line with the columns' names, then a row for each time at which the link changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ...catalog.suggestions import nearest
from ...contract.link_variation import Track
from ...contract.timeline import LEAST_RATE_BPS
from ..text_table import SECONDS_MAX, Line, Report, cells_of, number_in, separator_of, why_no_number

TIME: Final = "time"
#: Of each value: the least and the largest that a link may have, here in ms, bit/s and as a share. Loss may be 1:
#: nothing passes.
LIMITS: Final[Mapping[str, tuple[float, float]]] = {
    "rate_up": (LEAST_RATE_BPS, 100_000_000_000),
    "rate_down": (LEAST_RATE_BPS, 100_000_000_000),
    "latency": (0, 60_000),
    "loss": (0, 1),
}
#: How a column may be called: its value, and how much of that 1 in its unit is.
COLUMNS: Final[Mapping[str, tuple[str, float]]] = {
    "time_s": (TIME, 1000),
    "time_ms": (TIME, 1),
    "rate_up_kbps": ("rate_up", 1000),
    "rate_down_kbps": ("rate_down", 1000),
    "latency_ms": ("latency", 1),
    "loss": ("loss", 1),
    "rate_up_mbps": ("rate_up", 1_000_000),
    "rate_down_mbps": ("rate_down", 1_000_000),
    "rate_up_bps": ("rate_up", 1),
    "rate_down_bps": ("rate_down", 1),
    "loss_percent": ("loss", 0.01),
}
#: What others call columns: their names here, or what helps.
_FOREIGN: Final[Mapping[str, str]] = {
    **dict.fromkeys(("time", "timestamp", "t", "seconds", "t_s"), "time_s"),
    **dict.fromkeys(("rate_up", "up_kbps", "uplink", "upload", "ul_bitrate", "bandwidth_up_kbps"), "rate_up_kbps"),
    **dict.fromkeys(("rate_down", "down_kbps", "downlink", "download", "dl_bitrate"), "rate_down_kbps"),
    **dict.fromkeys(("bandwidth_down_kbps", "throughput", "bandwidth", "rate", "kbps"), "rate_down_kbps"),
    **dict.fromkeys(("delay", "delay_ms", "latency"), "latency_ms"),
    **dict.fromkeys(("rtt", "rtt_ms", "ping", "ping_ms"), "half of a round trip is latency_ms"),
    **dict.fromkeys(("packet_loss_rate", "packet_loss", "loss_rate", "plr"), "loss"),
    **dict.fromkeys(("jitter_ms", "jitter"), "remove it: jitter is that of the profile"),
}
_USUAL: Final = ("rate_up_kbps", "rate_down_kbps", "latency_ms", "loss")
#: What helps where a value is out of these limits: below them or not.
_HINTS: Final = {
    ("rate_up", True): "0 is written where nothing passes",
    ("rate_down", True): "0 is written where nothing passes",
    ("loss", False): "a column of percentages is called loss_percent",
}
#: The last row lasts as long as the one before it; a single one for so long.
SINGLE_MS: Final = 1000


@dataclass(frozen=True)
class _Row:
    at_ms: float
    values: Mapping[str, float]


def read_csv(lines: Sequence[Line], report: Report) -> tuple[Track, Track] | None:
    """Read the lines of a trace, given with their numbers, as tracks up and down; None: it is wrong, which is reported.

    Times count from the first row's, so they may be of any clock.
    """
    separator = separator_of(lines[0][1])
    columns = _read_columns(lines[0][0], cells_of(lines[0][1], separator), report)
    if columns is None:
        return None
    if len(lines) == 1:
        report(0, "has no rows", "add at least one below the columns' names")
        return None
    rows = [row for number, line in lines[1:] if (row := _read_row(columns, number, line, separator, report))]
    if len(rows) != len(lines) - 1:
        return None
    at_ms = [round(row.at_ms - rows[0].at_ms) for row in rows]
    for (number, _), before, after in zip(lines[2:], at_ms, at_ms[1:], strict=False):
        if after <= before:
            seconds = f"{rows[at_ms.index(before)].at_ms / 1000:.15g} s"
            what = "time runs backwards" if after < before else "less than a millisecond passes"
            report(number, f"{what} after the row of {seconds}", "times must rise from row to row")
            return None
    length_ms = at_ms[-1] + (at_ms[-1] - at_ms[-2] if len(rows) > 1 else SINGLE_MS)
    for rate in ("rate_up", "rate_down"):
        if all(row.values.get(rate) == 0 for row in rows):
            report(0, f"{rate} is 0 all the time: nothing ever passes", "remove the column, or give rates")
            return None

    def track(rate: str) -> Track:
        delays = _column(rows, "latency")
        return Track(
            at_ms=tuple(at_ms),
            length_ms=length_ms,
            rate_bps=_rates(rows, rate),
            delay_us=None if delays is None else tuple(round(value * 1000) for value in delays),
            loss=_losses(rows, rate),
        )

    return track("rate_up"), track("rate_down")


def _read_columns(number: int, names: Sequence[str], report: Report) -> list[str] | None:
    columns = [name.lower() for name in names]
    of = [COLUMNS[name][0] for name in columns if name in COLUMNS]
    if TIME not in of:
        hint = f"the first line names the columns: time_s or time_ms, and any of {', '.join(_USUAL)}"
        if all(number_in(name) is not None for name in names):
            report(number, "numbers in place of the columns' names", hint)
        else:
            report(number, f"no column time_s among {_listed(names)}", hint)
        return None
    unknown = [name for name in columns if name not in COLUMNS]
    # The unit that is usual comes first.
    near = {name: meant for name in unknown if (meant := _meant_by(name)) is not None}
    for name, meant in near.items():
        hint = f'did you mean "{meant}"?' if meant in COLUMNS else meant
        report(number, f'unknown column "{name[:40]}"', hint)
    if len(near) < len(unknown):
        others = [name for name in unknown if name not in near]
        hint = f"remove what is not of the link; known: {', '.join(COLUMNS)}"
        report(number, f"unknown column{'s' if len(others) > 1 else ''} {_listed(others)}", hint)
    twice = next((value for value in of if of.count(value) > 1), None)
    if twice is not None:
        report(number, f'column "{twice}" is there twice', "remove one of them")
    elif len(columns) == 1:
        report(number, "only times, and nothing that changes", f"add a column: {', '.join(_USUAL)}")
    elif not unknown:
        return columns
    return None


def _meant_by(name: str) -> str | None:
    known = _FOREIGN.get(name)
    return nearest(name, list(_USUAL)) or nearest(name, list(COLUMNS)) if known is None else known


def _listed(names: Sequence[str]) -> str:
    some = ", ".join(f'"{name[:40]}"' for name in names[:6])
    return some if len(names) <= 6 else f"{some} and {len(names) - 6} more"


def _read_row(columns: Sequence[str], number: int, line: str, separator: str | None, report: Report) -> _Row | None:
    cells = cells_of(line, separator)
    if len(cells) != len(columns):
        hint = None
        if separator_of(line) != separator:
            hint = "separate values as the first line separates the columns' names"
        report(number, f"{len(cells)} value{'' if len(cells) == 1 else 's'} for {len(columns)} columns", hint)
        return None
    values: dict[str, float] = {}
    for name, cell in zip(columns, cells, strict=True):
        written = number_in(cell)
        if written is None:
            report(number, f"{name}: not a number: {cell[:40] or 'nothing'}", why_no_number(cell))
            continue
        kind, unit = COLUMNS[name]
        value = written * unit
        if kind == TIME:
            if written > SECONDS_MAX * 1000 / unit:
                report(number, f"{name}: {cell[:40]} is thousands of years", "is it in another unit?")
                continue
        elif not _is_possible(kind, value):
            low, high = (limit / unit for limit in LIMITS[kind])
            edge = f"below {low:g}, the least" if value < LIMITS[kind][0] else f"above {high:g}, the most"
            hint = _HINTS.get((kind, written < low))
            report(number, f"{name}: {written:g} is {edge} that a link can have", hint)
            continue
        values[kind] = value
    return _Row(values.pop(TIME), values) if len(values) == len(columns) else None


def _is_possible(kind: str, value: float) -> bool:
    low, high = LIMITS[kind]
    return low <= value <= high or (value == 0 and kind.startswith("rate"))


def _column(rows: Sequence[_Row], kind: str) -> list[float] | None:
    return [row.values[kind] for row in rows] if kind in rows[0].values else None


def _rates(rows: Sequence[_Row], kind: str) -> tuple[int, ...] | None:
    """Rates; where nothing passes, what was there before leaves at the rate that it had."""
    rates = _column(rows, kind)
    if rates is None:
        return None
    found = []
    last = next(rate for rate in rates if rate)
    for rate in rates:
        last = rate or last
        found.append(round(last))
    return tuple(found)


def _losses(rows: Sequence[_Row], rate: str) -> tuple[float | None, ...] | None:
    """Losses; all is lost where the rate is 0. None: what is planned holds."""
    losses: Sequence[float | None] | None = _column(rows, "loss")
    cut = [row.values.get(rate) == 0 for row in rows]
    if not any(cut):
        return None if losses is None else tuple(losses)
    return tuple(1.0 if is_cut else loss for is_cut, loss in zip(cut, losses or [None] * len(rows), strict=True))
