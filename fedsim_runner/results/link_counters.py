"""What has passed the links of a run, second by second (``link_counters.csv``), of all lab hosts together.

Any line may be cut short or damaged: one that is not whole does not count. A run of 500 devices has 1,000 lines for
every second in which all links are in use.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..contract.paths import LINK_COUNTERS
from .clocks import HostClock
from .run_files import of_agents, read_host_clocks
from .samples import correct_times, parse_numbers

Values = NDArray[np.float64]
Key = tuple[str, str]  # device and direction
WAYS = ("up", "down")
COLUMNS = ("t", "seconds", "bytes", "overflowed", "backlog_bytes")
LINES_AT_ONCE = 50_000


@dataclass(frozen=True)
class Passed:
    """One direction of a link, in order of time.

    Attributes:
        times: Unix seconds, at the end of what each line covers; in a dilated run of device time.
        seconds: so long that is.
        bytes: that passed in it.
        overflowed: packets for which the queue had no room.
        backlog: bytes that waited in the queue at the end.
    """

    times: Values
    seconds: Values
    bytes: Values
    overflowed: Values
    backlog: Values

    def rates_bps(self, edges: Values) -> Values:
        """Return the mean rate between each two of these times, in bit/s.

        What a line covers passed evenly; lines of several lab hosts may cover the same time, and add up.
        """
        slopes = self.bytes * 8 / self.seconds
        moments = np.concatenate((self.times - self.seconds, self.times))
        order = np.argsort(moments, kind="stable")
        moments = moments[order]
        rates = np.cumsum(np.concatenate((slopes, -slopes))[order])
        passed = np.concatenate(([0.0], np.cumsum(rates[:-1] * np.diff(moments))))
        widths = np.diff(edges)
        return np.maximum(0.0, np.diff(np.interp(edges, moments, passed))) / widths


def read_link_counters(run_dir: Path) -> dict[Key, Passed]:
    """Return what has passed each direction of which anything is known."""
    parts: dict[Key, list[Values]] = {}
    clocks = read_host_clocks(run_dir)
    for host, path in of_agents(run_dir, LINK_COUNTERS).items():
        try:
            with path.open(encoding="utf-8", errors="replace", newline="") as stream:
                _read(csv.reader(stream), parts, clocks[host])
        except (OSError, csv.Error):
            continue
    found = {}
    for key, arrays in parts.items():
        table = np.concatenate(arrays)
        found[key] = Passed(*table[np.argsort(table[:, 0], kind="stable")].T)
    return found


def find_largest_backlogs(counters: Mapping[Key, Passed]) -> dict[Key, int]:
    """Return the most bytes that were seen waiting in each direction's queue."""
    return {key: int(passed.backlog.max()) for key, passed in counters.items()}


def _read(lines: Iterator[list[str]], parts: dict[Key, list[Values]], clock: HostClock) -> None:
    header = next((line for line in lines if line), [])
    if not {"device", "direction", *COLUMNS} <= set(header):
        return
    device, way = header.index("device"), header.index("direction")
    places = [header.index(name) for name in COLUMNS]
    while some := list(islice(lines, LINES_AT_ONCE)):
        whole = [line for line in some if len(line) >= len(header) and line[device] and line[way] in WAYS]
        if not whole:
            continue
        table = np.array([parse_numbers([line[place] for line in whole]) for place in places]).T
        table[:, 0] = correct_times(table[:, 0], clock)
        table[:, 1] *= clock.device_time.scale.factor
        # A line that covers no time has no rate.
        known = np.isfinite(table).all(axis=1) & (table >= 0).all(axis=1) & (table[:, 1] > 0)
        numbers: dict[Key, int] = {}
        codes = np.array([numbers.setdefault((line[device], line[way]), len(numbers)) for line in whole])[known]
        table = table[known]
        order = np.argsort(codes, kind="stable")
        begins = np.searchsorted(codes[order], np.arange(1, len(numbers)))
        for key, part in zip(numbers, np.split(table[order], begins), strict=True):
            if len(part):
                parts.setdefault(key, []).append(part)
