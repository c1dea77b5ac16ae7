"""Fetching what a run has produced so far, from another shell, even if its control node is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from ..console.progress import Progress
from ..contract.claim import RunBusyError
from ..contract.errors import Exit, FedsimError
from ..contract.paths import INVENTORY, REPORT
from ..contract.plain_folder import require_plain
from ..results import RUNNING, write_report
from ..results.page import try_publish
from ..results.run_files import read_json
from ..testbed.protocol import Testbed
from ..testbed.run_listener import RunListener
from ..testbed.stages import exit_of, stage_named
from ..testbed.values import Stopped, UnreachableError
from .folder import SO_FAR, give_to_user
from .hold import hold, hold_alone
from .labs import NO_OPTIONS, LabOptions
from .lookup import KnownRun, find_run, testbed_of
from .options import DEFAULT_RUNS_DIR
from .sweeps.folder import Sweep

# The states of a run that has not ended.
GOING_ON = ("provisioned", "loading", "running")


def collect_run(
    run: str, console: Console, into: Path | None = None, lab: LabOptions = NO_OPTIONS
) -> tuple[dict[str, Any], Path]:
    """Fetch what a run has produced so far and write its report. Return the report and the folder it is in.

    While another process works on the run, its folder is that process's: what there is so far goes to a folder in it.

    Raises:
        RunBusyError: another process collects it, too.
        UnreachableError: a lab host could not be reached; what the others have was fetched.
        FedsimError: its testbed has nothing of the run, fetching failed, or this user may not do it.
    """
    known = find_run(run)
    testbed = testbed_of(known, lab)
    with _place_for(known, testbed, into) as target:
        status = testbed.status(run)
        if status is None:
            raise FedsimError(f"run {run} has nothing on the lab host (any more)", Exit.SPEC)
        if known.folder is not None:
            require_plain(known.folder)
        target.mkdir(parents=True, exist_ok=True)
        require_plain(target)
        going_on = status.get("state") in GOING_ON
        return _collect(known, testbed, target, going_on, console), target


def collect_sweep(
    sweep: Sweep, console: Console, into: Path | None = None, lab: LabOptions = NO_OPTIONS
) -> dict[Path, dict[str, Any]]:
    """Collect the runs of a sweep that are up, each to its own folder; return their reports by folder.

    Raises:
        RunBusyError: another process collects one, too.
        FedsimError: none is up, fetching failed, or this user may not do it.
    """
    there = [one for one in sweep.runs if one.begun and testbed_of(find_run(one.run), lab).status(one.run) is not None]
    if not there:
        raise FedsimError(f"no run of sweep {sweep.name} has anything on the lab host", Exit.SPEC)
    found = (collect_run(one.run, console, None if into is None else into / one.run, lab) for one in there)
    return {folder: report for report, folder in found}


@contextmanager
def _place_for(known: KnownRun, testbed: Testbed, into: Path | None) -> Iterator[Path]:
    """The folder to write to, held until all is written."""
    if into is not None:
        yield into.resolve()
        return
    own = (known.folder or DEFAULT_RUNS_DIR / known.run).resolve()
    with ExitStack() as held:
        try:
            held.enter_context(hold_alone(known.run, testbed))
            target = own
        except RunBusyError:
            target = own / SO_FAR
            held.enter_context(hold(f"{known.run}/{SO_FAR}"))
        yield target


def _collect(known: KnownRun, testbed: Testbed, target: Path, going_on: bool, console: Console) -> dict[str, Any]:
    run = known.run
    before = read_json(target / REPORT)
    with Progress(console, 0) as progress, RunListener(progress, "interrupted: stopping") as listener:
        try:
            missing = listener.run(lambda work_listener: testbed.collect(run, known.folder, target, work_listener))
        except Stopped as stopped:
            if stopped.failure is None:
                raise FedsimError("interrupted", Exit.INTERRUPTED) from stopped
            stage = stage_named(testbed.traits.stages, stopped.stage)
            raise FedsimError(f"{run}: {stopped.failure.text}", exit_of(stage, stopped.failure.exit_code)) from stopped
        inventory = None if known.folder is None else known.folder / INVENTORY
        status = RUNNING if going_on else None
        reason = None
        if going_on and before.get("status", RUNNING) != RUNNING:
            # What its control node said at the end of the run stays true, though the devices were left as they were.
            status, reason = before["status"], before.get("reason")
        report = write_report(target, inventory_dir=inventory, status=status, reason=reason)
        if problem := try_publish(target, report):
            progress.note(problem, "yellow")
    give_to_user(target)
    if missing:
        raise UnreachableError(
            f"{', '.join(missing)} could not be reached: what run {run} has there was not fetched; "
            f"the rest is in {target}"
        )
    return report
