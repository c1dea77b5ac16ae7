"""Measuring the links of a run that is up, from another shell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..contract.course_state import CourseState
from ..contract.errors import Exit, FedsimError
from ..contract.plain_folder import require_plain
from ..results.run_files import read_devices
from ..results.run_report import write_csv, write_report
from ..results.tables.links import COLUMNS, LINKS_FILE, build_links
from .folder import give_to_user
from .labs import NO_OPTIONS, LabOptions
from .lookup import find_run, testbed_of


def compute_of_run(run: str) -> Sequence[dict[str, Any]]:
    """Return how a run's devices were served while they computed; empty before its course, and without its folder."""
    folder = find_run(run).folder
    return [] if folder is None else list(write_report(folder, writing=False)["compute"])


def verify_run(run: str, lab: LabOptions = NO_OPTIONS) -> tuple[Sequence[dict[str, Any]], Path | None]:
    """Measure the links of a run and write links.csv into its folder, if it has one. Return the rows, and the file.

    Raises:
        FedsimError: the run has no links, nothing on the lab host, or a course that is on.
    """
    known = find_run(run)
    measured = testbed_of(known, lab).measure(run)
    folder = known.folder
    devices = {} if folder is None else read_devices(folder)[0]
    # Of an edge that several lab hosts have measured, the worst counts.
    rows = build_links(CourseState().apply_all(measured).measured_links.values(), devices)
    if folder is None or not rows:  # of a run whose devices have ended, what was measured stays
        return rows, None
    require_plain(folder)
    path = folder / LINKS_FILE
    try:
        write_csv(path, COLUMNS, rows)
        give_to_user(folder)
    except OSError as error:
        raise FedsimError(f"{path}: {error.strerror}", Exit.OUTPUT) from error
    return rows, path
