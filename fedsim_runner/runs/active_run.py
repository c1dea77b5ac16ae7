"""A run in progress, from its reservation to its last line: whatever fails in between, its testbed is torn down."""

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
from ..contract.paths import MANIFEST
from ..spec.experiment import Experiment
from ..testbed.protocol import Testbed
from ..testbed.run_listener import RunListener
from ..testbed.stages import Stage, exit_of, stage_named
from ..testbed.values import Order, Stopped
from ..user_folders import STATE_HINT, state_home
from .folder import give_to_user
from .hold import end_orphans
from .manifest import record_sources, start_manifest, write_manifest
from .options import RunOptions
from .prepare import Prepared, prepare_run
from .registry import Registry
from .reservation import reserve_run
from .teardown import abandon


@dataclass(frozen=True)
class ActiveRun:
    """A run in progress. ``only_up``: it is only provisioned."""

    testbed: Testbed
    prepared: Prepared
    order: Order
    listener: RunListener
    manifest: dict[str, Any]
    only_up: bool
    lab: Path | None = None

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
        """Have other shells find the run folder by the run's name. Without a place for that the run goes on."""
        lab_hosts = [host.name for host in self.prepared.plan.lab_hosts]
        try:
            Registry().record(self.run, self.folder, self.testbed.traits.name, lab_hosts, state, self.lab)
        except OSError as error:
            if state == "running":
                reason = explain(error, Path(error.filename or state_home()))
                text = f"{reason} ({STATE_HINT}); other shells find the run, but not its folder"
                self.listener.progress.note(text, "yellow")

    def record(self) -> None:
        """Complete the manifest while the testbed may still be there."""
        self.testbed.record(self.manifest, self.order, ended=False)
        if self.testbed.traits.builds_images:
            try:
                record_sources(self.manifest, self.prepared.plan.experiment, self.folder)
            except OSError as error:
                reason = explain(error, self.folder)
                self.listener.progress.note(f"{MANIFEST} does not name the engines' sources: {reason}", "yellow")


@contextmanager
def active_run(
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
        on_several=len({item.lab_host for item in plan.placed}) > 1,
    )
    with progress, RunListener(progress, traits.on_interrupt, needs_output=True) as listener:
        _show_plan(console, progress, prepared, testbed)
        manifest = start_manifest(
            plan, began, traits.name, prepared.lacks, folder, prepared.folder_id, options.repeats, options.sweep
        )
        write_manifest(manifest, folder)
        order = Order(plan, folder, options.keep, console.is_terminal, options.devices, options.image_base)
        active = ActiveRun(testbed, prepared, order, listener, manifest, only_up, options.lab)
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


def now() -> float:
    """The current time in unix seconds."""
    return time.time()
