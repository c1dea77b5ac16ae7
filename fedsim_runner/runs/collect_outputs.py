"""Fetching what a run has produced so far, from another shell, even if its control node is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from ..console.progress import Progress
from ..contract.errors import Exit, FedsimError
from ..contract.paths import INVENTORY
from ..results import RUNNING, write_report
from ..results.page import try_publish
from ..testbed.run_listener import RunListener
from ..testbed.stages import exit_of, stage_named
from ..testbed.values import Stopped
from .folder import give_to_user
from .lookup import find_run, testbed_of


def collect_run(run: str, console: Console, into: Path | None = None) -> tuple[dict[str, Any], Path]:
    """Fetch what a run has produced so far and write its report. Return the report and the folder it is in.

    Raises:
        FedsimError: its testbed has nothing of the run, fetching failed, or this user may not do it.
    """
    known = find_run(run)
    testbed = testbed_of(known)
    status = testbed.status(run)
    if status is None:
        raise FedsimError(f"run {run} has nothing on the lab host (any more)", Exit.SPEC)
    target = (into or known.folder or Path("runs") / run).resolve()
    target.mkdir(parents=True, exist_ok=True)
    with Progress(console, 0) as progress, RunListener(progress, "interrupted: stopping") as listener:
        try:
            listener.run(lambda work_listener: testbed.collect(run, known.folder, target, work_listener))
        except Stopped as stopped:
            if stopped.failure is None:
                raise FedsimError("interrupted", Exit.INTERRUPTED) from stopped
            stage = stage_named(testbed.traits.stages, stopped.stage)
            raise FedsimError(f"{run}: {stopped.failure.text}", exit_of(stage, stopped.failure.exit_code)) from stopped
        going_on = status.get("state") in ("provisioned", "running")
        inventory = None if known.folder is None else known.folder / INVENTORY
        report = write_report(target, inventory_dir=inventory, status=RUNNING if going_on else None)
        if problem := try_publish(target, report):
            progress.note(problem, "yellow")
    give_to_user(target)
    return report, target
