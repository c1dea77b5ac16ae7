"""The run folders that the verb ``report`` reads, including old and damaged ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fedsim_runner.contract.paths import DEVICE_FILES, INVENTORY, JOURNAL, MANIFEST, PLAN, REPORT

from .. import write_report
from ..run_files import read_json
from ..run_report import RUNNING

# A folder is a run folder if it has any of these.
SIGNS = (JOURNAL, REPORT, PLAN, MANIFEST, f"{INVENTORY}/{DEVICE_FILES}")


def is_run_folder(folder: Path) -> bool:
    """Whether ``folder`` has any file of a run that a report can be made from."""
    return folder.is_dir() and any((folder / sign).exists() for sign in SIGNS)


def refresh_report(run_dir: Path, output: Path | None = None, writing: bool = True) -> dict[str, Any]:
    """Make the report of a run folder again; without ``writing``, only return it.

    What only the run's control node knew, its status and notes, is kept from the existing report.

    Raises:
        OSError: the folder cannot be written.
    """
    before = read_json(run_dir / REPORT)
    status, reason, notes = before.get("status"), before.get("reason"), before.get("notes")
    known = isinstance(status, str) and status != RUNNING
    return write_report(
        run_dir,
        status=status if known else None,
        reason=reason if known and isinstance(reason, str) else None,
        notes=[str(note) for note in notes] if isinstance(notes, list) else (),
        output=output,
        writing=writing,
    )
