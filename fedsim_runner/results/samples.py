"""The samples of a run (``metrics.csv``), read once: a run of 500 devices has 500 lines for every second.

Any line may be cut short or damaged; a value that is not a finite number is unknown, and the rest of the line counts.
"""

from __future__ import annotations

import contextlib
import csv
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..contract.lenient import number
from ..contract.paths import METRICS
from .clocks import HostClock
from .run_files import of_agents, read_host_clocks

Values = NDArray[np.float64]
# Columns of which all samples are kept.
KEPT = ("t", "memory_bytes", "cpu_seconds", "throttled_seconds")
# Columns of which the largest value is kept: counters only grow, and memory has a peak.
LARGEST = (
    "tx_bytes",
    "rx_bytes",
    "cpu_seconds",
    "throttled_seconds",
    "periods",
    "throttled_periods",
    "oom_kills",
    "memory_peak_bytes",
)
DROPS = ("rx_dropped", "tx_dropped")
# Counters of a device's container: they begin again at 0 where an event starts it again.
COUNTERS = (
    "cpu_seconds",
    "rx_bytes",
    "tx_bytes",
    "throttled_seconds",
    "periods",
    "throttled_periods",
    "oom_kills",
    *DROPS,
)
# So many of them are lower than in the line before where that has happened; in a damaged line one may be.
LOWER = 2
LINES_AT_ONCE = 50_000


@dataclass
class Samples:
    """One device's samples in the order of the file; unknown is NaN.

    ``times`` are Unix seconds, ``memory`` bytes, ``cpu`` and ``throttled`` seconds so far. ``largest`` has the largest
    value of each of :data:`LARGEST` and of ``packets_dropped``, as far as they are known. ``cpu`` counts what
    processors did, which is the same in any time; the others are device time. Counters go on where a device was started
    again; ``earlier`` has what they had reached before it last was.
    """

    times: Values
    memory: Values
    cpu: Values
    throttled: Values
    largest: dict[str, float]
    earlier: dict[str, float]


@dataclass
class _Parts:
    """What was read of a device so far: one array per column and group of lines."""

    columns: list[tuple[Values, ...]] = field(default_factory=list)
    largest: dict[str, float] = field(default_factory=dict)
    earlier: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)  # what the counters were in the line read last


def read_samples(run_dir: Path) -> dict[str, Samples]:
    """Return the samples of all lab hosts by device. They belong to everybody who asks: the tables and the figures."""
    found = []
    clocks = read_host_clocks(run_dir)
    for host, path in of_agents(run_dir, METRICS).items():
        with contextlib.suppress(OSError):
            state = path.stat()
            found.append((path, state.st_mtime_ns, state.st_size, clocks[host]))
    return _read_files(tuple(found))


@functools.lru_cache(maxsize=1)
def _read_files(files: tuple[tuple[Path, int, int, HostClock], ...]) -> dict[str, Samples]:
    """Read files, given with the state that they are in: of the same state the second reading is the first."""
    found: dict[str, _Parts] = {}
    for path, _, _, clock in files:
        try:
            with path.open(encoding="utf-8", errors="replace", newline="") as stream:
                _read(csv.reader(stream), found, clock)
        except (OSError, csv.Error):
            continue
    samples = {}
    for name, parts in found.items():
        times, memory, cpu, throttled = (np.concatenate(column) for column in zip(*parts.columns, strict=True))
        samples[name] = Samples(times, memory, cpu, throttled, parts.largest, parts.earlier)
    return samples


def _read(lines: Iterator[list[str]], found: dict[str, _Parts], clock: HostClock) -> None:
    header = next((line for line in lines if line), [])
    if "device" not in header:
        return
    width, place = len(header), header.index("device")
    while some := list(islice(lines, LINES_AT_ONCE)):
        full = [line if len(line) >= width else line + [""] * (width - len(line)) for line in some]
        named = [line for line in full if line[place]]
        if named:
            _add(named, header, place, found, clock)


def _add(
    lines: Sequence[list[str]], header: Sequence[str], place: int, found: dict[str, _Parts], clock: HostClock
) -> None:
    numbers: dict[str, int] = {}
    codes = np.array([numbers.setdefault(line[place], len(numbers)) for line in lines])
    order = np.argsort(codes, kind="stable")
    begins = np.searchsorted(codes[order], np.arange(len(numbers)))

    def column(name: str) -> Values:
        if name not in header:
            return np.full(len(lines), np.nan)
        index = header.index(name)
        return parse_numbers([line[index] for line in lines])[order]

    columns = {name: column(name) for name in dict.fromkeys((*KEPT, *LARGEST, *DROPS))}
    _go_on_counting(columns, begins, [found.setdefault(device, _Parts()) for device in numbers])
    columns["t"] = correct_times(columns["t"], clock)
    columns["throttled_seconds"] *= clock.device_time.scale.factor
    for device, *kept in zip(numbers, *(np.split(columns[name], begins[1:]) for name in KEPT), strict=True):
        found[device].columns.append(tuple(kept))
    # fmax takes the value that is known.
    columns["memory_peak_bytes"] = np.fmax(columns["memory_peak_bytes"], columns["memory_bytes"])
    drops = np.array([columns[name] for name in DROPS])
    columns["packets_dropped"] = np.where(np.isnan(drops).all(axis=0), np.nan, np.nansum(drops, axis=0))
    for name in (*LARGEST, "packets_dropped"):
        for device, value in zip(numbers, np.fmax.reduceat(columns[name], begins).tolist(), strict=True):
            known = found[device].largest
            if value == value:
                known[name] = max(value, known.get(name, value))


def _go_on_counting(columns: dict[str, Values], begins: NDArray[np.intp], parts: Sequence[_Parts]) -> None:
    """Add to counters that have begun again what they had reached before.

    Args:
        columns: of lines in the order of their devices; counters are changed in place.
        begins: of each device, its first line.
        parts: what was read of each device so far.
    """
    ends = [*begins[1:].tolist(), len(columns["t"])]
    before = {}
    for name in COUNTERS:
        before[name] = np.concatenate(([np.nan], columns[name][:-1]))
        before[name][begins] = [one.last.get(name, np.nan) for one in parts]
    lower = sum((columns[name] < before[name]).astype(int) for name in COUNTERS)
    anew = np.flatnonzero(lower >= LOWER)
    last = {name: columns[name][np.array(ends) - 1].tolist() for name in COUNTERS}
    for number_of, (one, begin, end) in enumerate(zip(parts, begins.tolist(), ends, strict=True)):
        one.last = {name: last[name][number_of] for name in COUNTERS}
        for name, value in one.earlier.items():
            columns[name][begin:end] += value
        for place in anew[np.searchsorted(anew, begin) : np.searchsorted(anew, end)].tolist():
            for name in COUNTERS:
                value = before[name][place]
                if value == value:
                    one.earlier[name] = one.earlier.get(name, 0.0) + value
                    columns[name][place:end] += value


def correct_times(times: Values, clock: HostClock) -> Values:
    """Return times by a lab host's clock as device time, like :meth:`~.clocks.HostClock.correct`."""
    if not clock.corrects:
        return times
    corrected = times
    if not clock.is_right:
        moments, offsets = zip(*clock.measured, strict=True)
        corrected = times + np.interp(times, moments, offsets)
    gate, factor = clock.device_time.gate, clock.device_time.scale.factor
    if gate is not None:
        corrected = np.where(corrected > gate, gate + (corrected - gate) * factor, corrected)
    return corrected


def parse_numbers(texts: Sequence[str]) -> Values:
    """Return numbers; what is not a finite one is NaN."""
    try:
        values = np.fromiter(map(float, texts), float, len(texts))
    except ValueError:
        known = map(number, texts)
        values = np.fromiter((np.nan if value is None else value for value in known), float, len(texts))
    values[~np.isfinite(values)] = np.nan
    return values
