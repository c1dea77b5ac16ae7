"""Removing a run, or all runs, from another shell, even if the control node is gone."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from rich.console import Console

from ..console.progress import Progress
from ..contract.claim import RunBusyError
from ..contract.engine_address import EngineAddressError
from ..contract.errors import Exit
from ..testbed.protocol import Testbed
from ..testbed.run_listener import RunListener
from ..testbed.stages import exit_of, stage_named
from .folder import give_to_user
from .hold import end_orphans, hold, hold_alone
from .labs import NO_OPTIONS, LabOptions
from .left_over import why_unknown
from .lookup import KnownRun, all_runs, find_run, testbed_of
from .registry import Registry
from .sweeps.folder import Sweep, sweeps
from .teardown import tear_down


def remove_run(run: str, console: Console, runs_dir: Path | None = None, lab: LabOptions = NO_OPTIONS) -> Exit:
    """Remove everything that a run has on its testbed; safe to call twice, and without its run folder.

    Raises:
        RunBusyError: another process works on the run.
        FedsimError: this user may not do it.
    """
    known = find_run(run, runs_dir)
    testbed = testbed_of(known, lab)
    with hold_alone(run, testbed):
        end_orphans(run, console)
        code = _destroy(known, testbed, console)
        if code is Exit.DONE:
            with suppress(OSError):  # a registry that can only be read
                Registry().forget(run)
            console.print(f"run {run}: nothing is left of it", markup=False, highlight=False)
        return code


def remove_sweep(sweep: Sweep, console: Console, lab: LabOptions = NO_OPTIONS) -> Exit:
    """Remove what the runs of a sweep have on their testbed; return the worst exit code.

    Raises:
        RunBusyError: another process executes the sweep, or works on one of its runs.
        FedsimError: this user may not do it.
    """
    with hold(sweep.name):
        # One whose folder was removed may still have something there.
        begun = [one.run for one in sweep.runs if one.begun or Registry().find(one.run) is not None]
        code = max((remove_run(run, console, sweep.folder, lab) for run in begun), default=Exit.DONE)
    if code is Exit.DONE:
        with suppress(OSError):
            sweeps().forget(sweep.name)
        console.print(f"sweep {sweep.name}: nothing is left of it", markup=False, highlight=False)
    return code


def remove_all(console: Console, lab: LabOptions = NO_OPTIONS) -> Exit:
    """Remove all runs except those that a living process works on, or on another Engine; return the worst exit code.

    Raises:
        FedsimError: a testbed does not answer, or this user may not do it.
    """
    worst = Exit.DONE
    found = all_runs(lab)
    for run, where in found.labs.items():
        try:
            code = remove_run(run, console, lab=where)
        except (RunBusyError, EngineAddressError) as error:
            console.print(f"skipped: {error}", markup=False, highlight=False)
            continue
        if code is not Exit.DONE:
            worst = code
    for reason in found.unreachable:
        console.print(f"error: {reason}", style="red", markup=False, highlight=False)
    return Exit.LAB if found.unreachable and worst is Exit.DONE else worst


def _destroy(known: KnownRun, testbed: Testbed, console: Console) -> Exit:
    with Progress(console, 0) as progress, RunListener(progress, "interrupted: stopping the teardown") as listener:
        result = tear_down(testbed, known.run, known.folder, listener)
        if result.interrupted or result.not_tried:
            progress.note(f"the teardown was interrupted; finish it with: fedsim-provision down {known.run}")
            return Exit.INTERRUPTED
        if result.stopped is not None and result.stopped.failure is not None:
            failure = result.stopped.failure
            if (unreachable := why_unknown(testbed)) is not None:
                progress.note(f"error: {unreachable}", "red")
                return unreachable.exit
            where = f" on {failure.host}" if failure.host else ""
            progress.note(f"error: teardown{where}: {failure.text}", "red")
            return exit_of(stage_named(testbed.traits.stages, failure.stage), failure.exit_code)
        if result.left:
            progress.note(f"error: still there: {', '.join(result.left)}", "red")
            return Exit.PROVISIONING
    if known.folder is not None:
        give_to_user(known.folder)
    return Exit.DONE
