"""The life cycle of a run on any testbed: plan, provision, course, collect, tear down, report; and interruptions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ..contract.errors import Exit
from ..contract.paths import REPORT
from ..results import render_summary, write_report
from ..results.page import try_publish
from ..results.run_files import read_json
from ..spec.experiment import Experiment
from ..testbed.protocol import Testbed
from ..testbed.stages import COLLECT, DESTROY, clean_up
from ..testbed.values import Stopped, UnreachableError
from .active_run import ActiveRun, active_run, now
from .left_over import left_over
from .manifest import record_service, write_manifest
from .options import RunOptions
from .teardown import show_failure, tear_down

Report = dict[str, Any]


def run_experiment(
    experiment: Experiment, options: RunOptions, console: Console, testbed: Testbed
) -> tuple[Exit, Report]:
    """Run an experiment from plan to report. Prints progress and a summary; leaves the run folder.

    Raises:
        FedsimError: nothing was started: the experiment does not fit, the name is taken, or this user may not do it.
    """
    with active_run(experiment, options, console, testbed, Exit.COURSE) as active:
        stopped = None
        try:
            active.listener.run(lambda listener: testbed.follow(active.order, listener))
        except Stopped as error:
            stopped = error
        active.record()
        _finish(active, stopped)
        code = active.exit(stopped)
        report = _report(active.folder, stopped)
        active.manifest["status"] = report["status"]
        record_service(active.manifest, report)
        testbed.record(active.manifest, active.order, ended=True)
        # The page repeats the manifest, so the manifest is written first.
        write_manifest(active.manifest, active.folder, ended=now())
        if problem := try_publish(active.folder, report):
            active.listener.progress.note(problem, "yellow")
        console.print(render_summary(report, active.folder))
        if options.keep and code is Exit.DONE and left_over(testbed, active.run):
            active.listener.progress.note(
                f"the testbed is still up (--keep); remove it: fedsim-provision down {active.run}"
            )
    return code, report


def provision(experiment: Experiment, options: RunOptions, console: Console, testbed: Testbed) -> Exit:
    """Bring the testbed up to the closed gate, or change one that is up to match the experiment file.

    Raises:
        FedsimError: as for :func:`run_experiment`.
    """
    with active_run(experiment, options, console, testbed, Exit.PROVISIONING) as active:
        stopped, changed = None, 0
        try:
            changed = active.listener.run(lambda listener: testbed.provision(active.order, listener))
        except Stopped as error:
            stopped = error
        active.record()
        note, run = active.listener.progress.note, active.run
        if stopped is None:
            active.manifest["status"] = "up"
            note(
                f"the testbed of run {run} is up (changed={changed}); "
                f"see its state: fedsim-provision status {run}; remove it: fedsim-provision down {run}"
            )
            if not active.listener.interrupts:
                return Exit.DONE
            # Nobody has heard yet that the testbed is up.
            stopped = Stopped(None)
        active.manifest["status"] = "canceled" if stopped.failure is None else "failed"
        show_failure(active.listener.progress, stopped)
        if active.leaves_up:
            note(f"the testbed was left as it is; remove it: fedsim-provision down {run}")
        elif active.stage(stopped).leaves or left_over(testbed, run):
            _tear_down(active)
        return active.exit(stopped)


def _finish(active: ActiveRun, stopped: Stopped | None) -> None:
    """After the course: fetch and remove what is still there, and report what failed."""
    note, keep = active.listener.progress.note, active.order.keep
    if stopped is not None and stopped.stage != "verdict":
        show_failure(active.listener.progress, stopped)
    steps: Sequence[str] = [] if stopped is None else clean_up(active.stage(stopped), keep)
    if stopped is not None and stopped.failure is not None:
        steps = _not_yet_done(active, steps)
    if COLLECT in steps and active.listener.interrupts < 2:
        try:
            active.listener.run(
                lambda listener: active.testbed.collect(active.run, active.folder, active.folder, listener),
                ignore_interrupts=1,
            )
        except Stopped as error:
            show_failure(active.listener.progress, error, "not everything could be collected")
    if keep:
        if stopped is not None and active.stage(stopped).leaves:
            note(f"the testbed was left as it is (--keep): fedsim-provision down {active.run}")
    elif DESTROY in steps or left_over(active.testbed, active.run):
        _tear_down(active)
    active.listener.save_journal_if_missing(active.folder)


def _not_yet_done(active: ActiveRun, steps: Sequence[str]) -> Sequence[str]:
    """Those of the steps that a testbed has not done by itself after a failure. Lab hosts that are silent are named."""
    note = active.listener.progress.note
    try:
        if active.testbed.list().get(active.run):
            return steps
    except UnreachableError as error:
        if error.found.get(active.run):
            return steps
        if DESTROY in steps:
            note(f"{error}; what the run has there is removed by: fedsim-provision down {active.run}", "yellow")
        return []
    if DESTROY in steps:
        note("the testbed was torn down")
    return []


def _tear_down(active: ActiveRun) -> None:
    """Remove everything of the run, and report if that was not completed."""
    note, hint = active.listener.progress.note, f"finish it with: fedsim-provision down {active.run}"
    result = tear_down(active.testbed, active.run, active.folder, active.listener, ignore_interrupts=1)
    if result.not_tried:
        note(f"the testbed was not torn down; {hint}")
    elif result.interrupted:
        note(f"the teardown was interrupted; {hint}")
    elif not result.clean:
        if result.stopped is not None:
            show_failure(active.listener.progress, result.stopped, "the teardown failed")
        if result.left:
            note(f"still there: {', '.join(result.left)}", "red")
        note(hint)


def _report(folder: Path, stopped: Stopped | None) -> Report:
    """The report of the run folder, completed with what only this process knows about the end of the run."""
    if stopped is None:
        return write_report(folder)
    verdict = stopped.stage == "verdict"
    report = read_json(folder / REPORT) if verdict else {}
    report = report or write_report(folder)
    if stopped.failure is None:
        if report["status"] == "finished":
            return report
        return write_report(folder, status="interrupted", reason=f"interrupted in stage {stopped.stage}")
    if report.get("status") == "failed" and verdict:
        return report
    text = stopped.failure.text
    text = text.splitlines()[0] if verdict else f"stage {stopped.stage}: {text}"
    return write_report(folder, status="failed", reason=text)
