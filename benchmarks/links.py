"""Links against what was asked: profile x way x figure, for the back end that this kernel or --backend chooses.

    python -m benchmarks.links [--backend NAME] [--only PROFILE ...] [--figure NAME ...] [--seconds S] [--busy DEVICES]
                               [--csv FILE] [--against FILE]

As root, without Docker, on a machine on which nothing else computes. For a kernel with netem, where the machine's own
has none:

    python -m tests.lab.user_mode --timeout 7200 .venv/bin/python -m benchmarks.links --backend netem
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fedsim_runner.agent.processes import scheduling
from fedsim_runner.contract.link import Links

from .link_figures import connect, delay, loss, queue, rate
from .link_figures.bench import WAYS, Bench, bench
from .link_figures.children import busy_devices
from .link_figures.profiles import measured_profiles
from .link_figures.rows import COLUMNS, Row, compared, missed, read_rows, write_rows
from .tables import print_table

#: What is measured, by name. Each is given links that nothing has passed yet.
FIGURES: Mapping[str, Callable[[Bench, str], Iterator[Row]]] = {
    "connect": connect.measure,
    "delay": delay.measure,
    "rate": rate.measure,
    "loss": loss.measure,
    "queue": queue.measure,
}
#: What is measured up and down at once: packets far apart, and flows that leave half of a rate free.
AT_ONCE = ("delay",)
SECONDS = 30.0


def main() -> int:
    """Measure, print the table, and exit with 1 if a figure is out of its limit."""
    profiles = measured_profiles()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.links", description="Links against what was asked.")
    parser.add_argument("--backend", default="auto", help="a link back end (default: %(default)s)")
    parser.add_argument("--only", metavar="PROFILE", action="append", choices=list(profiles), help="default: all")
    parser.add_argument("--figure", action="append", choices=list(FIGURES), help="default: all")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for a mean over time (default: %(default)g)")
    parser.add_argument(
        "--busy", type=int, default=0, metavar="DEVICES", help="so many use their whole quota meanwhile"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="where the table is written, too")
    parser.add_argument("--against", type=Path, metavar="FILE", help="such a table of another back end, to compare")
    options = parser.parse_args()
    if (os.cpu_count() or 1) > 1:
        scheduling.gain_priority()
    with busy_devices(options.busy):
        rows = _measure(profiles, options)
    if options.against is not None:
        rows += compared(rows, read_rows(options.against))
    if options.csv is not None:
        write_rows(options.csv, rows)
    print_table("links: asked and got", COLUMNS, [row.cells() for row in rows])
    out = missed(rows)
    print(f"{len(out)} of {sum(row.within is not None for row in rows)} figures out of their limits")
    return 1 if out else 0


def _measure(profiles: Mapping[str, Links], options: argparse.Namespace) -> list[Row]:
    rows: list[Row] = []
    for name in options.only or profiles:
        for figure in options.figure or FIGURES:
            for ways in [WAYS] if figure in AT_ONCE else [(way,) for way in WAYS]:
                with bench(name, profiles[name], options.backend, options.seconds) as made:
                    rows += _measure_ways(made, figure, ways)
    return rows


def _measure_ways(made: Bench, figure: str, ways: Sequence[str]) -> list[Row]:
    def measure(way: str) -> list[Row]:
        found = []
        for row in FIGURES[figure](made, way):
            found.append(row)
            print("  ".join(row.cells()), file=sys.stderr, flush=True)
        return found

    with ThreadPoolExecutor(len(ways)) as pool:
        return [row for rows in pool.map(measure, ways) for row in rows]


if __name__ == "__main__":
    sys.exit(main())
