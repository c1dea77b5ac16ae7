"""The run folders that the verb ``report`` reads, including old and damaged ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fedsim_runner.contract.paths import DEVICE_FILES, INVENTORY, JOURNAL, MANIFEST, PLAN, REPORT

from .. import build_report, write_report
from ..run_files import read_json
from ..run_report import RUNNING

# A folder is a run folder if it has any of these.
SIGNS = (JOURNAL, REPORT, PLAN, MANIFEST, f"{INVENTORY}/{DEVICE_FILES}")


def is_run_folder(folder: Path) -> bool:
    """Whether ``folder`` has any file of a run that a report can be made from."""
    return folder.is_dir() and any((folder / sign).exists() for sign in SIGNS)


def refresh_report(run_dir: Path, output: Path | None = None, is_up: bool = False) -> dict[str, Any]:
    """Make the report of a run folder again, and write it into the folder or into ``output``.

    ``is_up``: whether the run is still on its testbed, so that a course without an end has not failed.

    Raises:
        OSError: the folder cannot be written.
    """
    return write_report(run_dir, output=output, **_known_only_there(run_dir, is_up))


def rebuild_report(run_dir: Path) -> dict[str, Any]:
    """Return what :func:`refresh_report` would write."""
    return build_report(run_dir, **_known_only_there(run_dir))


def _known_only_there(run_dir: Path, is_up: bool = False) -> dict[str, Any]:
    """Return what only the run's control node knew, its status and notes, from the existing report."""
    before = read_json(run_dir / REPORT)
    status, reason, notes = before.get("status"), before.get("reason"), before.get("notes")
    known = isinstance(status, str) and (is_up or status != RUNNING)
    return {
        "status": status if known else None,
        "reason": reason if known and isinstance(reason, str) else None,
        "notes": [str(note) for note in notes] if isinstance(notes, list) else (),
    }
