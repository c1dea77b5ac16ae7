"""The life cycle of a run on any testbed: plan, provision, course, collect, tear down, report; and interruptions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from ..console.course_now import planned_devices
from ..console.plan_view import render_plan
from ..console.progress import Progress
from ..contract.atomic import FULL, explain
from ..contract.errors import Exit, FedsimError
from ..contract.paths import MANIFEST, REPORT
from ..results import render_summary, write_report
from ..results.page import try_publish
from ..results.run_files import read_json
from ..spec.experiment import Experiment
from ..testbed.protocol import Testbed
from ..testbed.run_listener import RunListener
from ..testbed.stages import COLLECT, DESTROY, Stage, clean_up, exit_of, stage_named
from ..testbed.values import Order, Stopped
from ..user_folders import STATE_HINT, state_home
from .folder import give_to_user
from .hold import end_orphans
from .left_over import left_over
from .manifest import record_sources, start_manifest, write_manifest
from .options import RunOptions
from .prepare import Prepared, prepare_run
from .registry import Registry
from .reservation import reserve_run
from .teardown import abandon, show_failure, tear_down

Report = dict[str, Any]


@dataclass(frozen=True)
class ActiveRun:
    """A run in progress. ``only_up``: it is only provisioned."""

    testbed: Testbed
    prepared: Prepared
    order: Order
    listener: RunListener
    manifest: dict[str, Any]
    only_up: bool

    @property
    def run(self) -> str:
        return self.prepared.run

    @property
    def folder(self) -> Path:
        return self.prepared.folder

    @property
    def leaves_up(self) -> bool:
        """Whether the testbed stays if something fails."""
        return self.order.keep or (self.only_up and self.prepared.existed)

    def stage(self, stopped: Stopped) -> Stage:
        """The stage in which the run ended."""
        return stage_named(self.testbed.traits.stages, stopped.stage)

    def exit(self, stopped: Stopped | None) -> Exit:
        """The exit code of the command."""
        if stopped is None:
            return Exit.DONE
        if stopped.failure is None:
            return Exit.INTERRUPTED
        return exit_of(self.stage(stopped), stopped.failure.exit_code)

    def register(self, state: str) -> None:
        """Have other shells find the run by its name. Without a place for that it goes on: the labels decide."""
        lab_hosts = [host.name for host in self.prepared.plan.lab_hosts]
        try:
            Registry().record(self.run, self.folder, self.testbed.traits.name, lab_hosts, state)
        except OSError as error:
            reason = explain(error, Path(error.filename or state_home()))
            self.listener.progress.note(
                f"other shells do not find this run by its name: {reason} ({STATE_HINT})", "yellow"
            )

    def record(self) -> None:
        """Complete the manifest while the testbed may still be there."""
        self.testbed.record(self.manifest, self.order, ended=False)
        if self.testbed.traits.builds_images:
            try:
                record_sources(self.manifest, self.prepared.plan.experiment, self.folder)
            except OSError as error:
                reason = explain(error, self.folder)
                self.listener.progress.note(f"{MANIFEST} does not name the engines' sources: {reason}", "yellow")


def run_experiment(
    experiment: Experiment, options: RunOptions, console: Console, testbed: Testbed
) -> tuple[Exit, Report]:
    """Run an experiment from plan to report. Prints progress and a summary; leaves the run folder.

    Raises:
        FedsimError: nothing was started: the experiment does not fit, the name is taken, or this user may not do it.
    """
    with _active_run(experiment, options, console, testbed, Exit.COURSE) as active:
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
    with _active_run(experiment, options, console, testbed, Exit.PROVISIONING) as active:
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
            # Nobody was told that the testbed is up.
            stopped = Stopped(None)
        active.manifest["status"] = "canceled" if stopped.failure is None else "failed"
        show_failure(active.listener.progress, stopped)
        if active.leaves_up:
            note(f"the testbed was left as it is; remove it: fedsim-provision down {run}")
        elif active.stage(stopped).leaves or left_over(testbed, run):
            _tear_down(active)
        return active.exit(stopped)


@contextmanager
def _active_run(
    experiment: Experiment, options: RunOptions, console: Console, testbed: Testbed, failed: Exit
) -> Iterator[ActiveRun]:
    """A run from its plan to its last line. Whatever fails in the block, the testbed is torn down.

    ``failed``: the exit code if the run folder cannot be written.
    """
    began = now()
    experiment = testbed.accept(experiment)
    # Held before anything of the run is written, until the last line of its report is.
    with (
        reserve_run(options, experiment.name, began, testbed) as reserved,
        _given_to_user(reserved.folder),
        _explained(reserved.folder, failed),
    ):
        end_orphans(reserved.run, console)
        prepared = prepare_run(experiment, options, reserved, testbed)
        with _begun_run(prepared, options, console, testbed, began, failed is Exit.PROVISIONING) as active:
            yield active


@contextmanager
def _begun_run(
    prepared: Prepared, options: RunOptions, console: Console, testbed: Testbed, began: float, only_up: bool
) -> Iterator[ActiveRun]:
    plan, folder, traits = prepared.plan, prepared.folder, testbed.traits
    progress = Progress(
        console,
        plan.experiment.total_rounds,
        unshaped=bool(prepared.lacks),
        run=plan.run,
        devices=planned_devices(plan),
        live_stages={stage.name for stage in traits.stages if stage.live},
    )
    with progress, RunListener(progress, traits.on_interrupt, needs_output=True) as listener:
        _show_plan(console, progress, prepared, testbed)
        manifest = start_manifest(plan, began, traits.name, prepared.lacks, folder, options.repeats)
        write_manifest(manifest, folder)
        order = Order(plan, folder, options.keep, console.is_terminal, options.devices, options.image_base)
        active = ActiveRun(testbed, prepared, order, listener, manifest, only_up)
        active.register("running")
        try:
            yield active
            write_manifest(manifest, folder, ended=now())
        except BaseException as error:
            error.add_note(abandon(testbed, plan.run, folder, listener, active.leaves_up))
            manifest["status"] = "failed"
            with suppress(OSError):
                write_manifest(manifest, folder, ended=now())
            raise
        finally:
            active.register(str(manifest["status"]))


@contextmanager
def _given_to_user(folder: Path) -> Iterator[None]:
    try:
        yield
    finally:
        if folder.exists():
            give_to_user(folder)


@contextmanager
def _explained(folder: Path, failed: Exit) -> Iterator[None]:
    """Report a run folder that cannot be written as such, with the exit code ``failed``."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno not in FULL:
            raise
        become = "; ".join(getattr(error, "__notes__", ()))
        raise FedsimError(explain(error, Path(error.filename or folder)), failed, hint=become) from error


def _show_plan(console: Console, progress: Progress, prepared: Prepared, testbed: Testbed) -> None:
    plan = prepared.plan
    if not prepared.lacks:
        console.print(f"[bold]plan[/] of run {plan.run}", highlight=False)
        console.print(render_plan(plan))
        return
    # Limits, links and addresses are not shown, as they would not be in force.
    lacks = "; ".join(lack.what for lack in prepared.lacks)
    progress.note(f"plan of run {plan.run}: {len(plan.placed)} {testbed.traits.devices_are}; {lacks}")
    for lack in prepared.lacks:
        progress.note(f"  {lack.hint}")
    for item in plan.placed:
        progress.note(f"  {item.device.name}  {item.device.type.name}  {item.device.role}")


def _finish(active: ActiveRun, stopped: Stopped | None) -> None:
    """After the course: fetch and remove what is still there, and report what failed."""
    note, keep = active.listener.progress.note, active.order.keep
    if stopped is not None and stopped.stage != "verdict":
        show_failure(active.listener.progress, stopped)
    steps = [] if stopped is None else clean_up(active.stage(stopped), keep)
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


def now() -> float:
    """The current time in unix seconds."""
    return time.time()
