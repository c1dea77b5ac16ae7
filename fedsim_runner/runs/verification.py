"""Measuring the links of a run that is up, from another shell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contract.course_state import CourseState
from ..contract.errors import Exit, FedsimError
from ..contract.plain_folder import require_plain
from ..results.report_files import write_csv
from ..results.run_files import read_devices
from ..results.run_report import build_report
from ..results.tables.links import COLUMNS, LINKS_FILE, build_links
from .folder import give_to_user
from .labs import NO_OPTIONS, LabOptions
from .lookup import find_run, testbed_of
from .silent_hosts import describe_silent


def compute_of_run(run: str) -> Sequence[dict[str, Any]]:
    """Return how a run's devices were served while they computed; empty before its course, and without its folder."""
    folder = find_run(run).folder
    return [] if folder is None else list(build_report(folder)["compute"])


@dataclass(frozen=True)
class Verified:
    """What was measured of a run's links.

    Attributes:
        rows: of links.csv.
        path: the file, if it was written.
        silent: why lab hosts that carry devices of the run do not answer; theirs were not measured.
    """

    rows: Sequence[dict[str, Any]]
    path: Path | None
    silent: Sequence[str]


def verify_run(run: str, lab: LabOptions = NO_OPTIONS) -> Verified:
    """Measure the links of a run and write links.csv into its folder, if it has one.

    Raises:
        FedsimError: the run has no links, nothing on the lab host, or a course that is on.
    """
    known = find_run(run)
    measured, unreachable = testbed_of(known, lab).measure(run)
    folder = known.folder
    if folder is not None:
        require_plain(folder)
    devices = {} if folder is None else read_devices(folder)[0]
    # Of an edge that several lab hosts have measured, the worst counts.
    rows = build_links(CourseState().apply_all(measured).measured_links.values(), devices)
    silent = describe_silent(unreachable, devices)
    if folder is None or not rows:  # of a run whose devices have ended, what was measured stays
        return Verified(rows, None, silent)
    path = folder / LINKS_FILE
    try:
        write_csv(path, COLUMNS, rows)
        give_to_user(folder)
    except OSError as error:
        raise FedsimError(f"{path}: {error.strerror}", Exit.OUTPUT) from error
    return Verified(rows, path, silent)
