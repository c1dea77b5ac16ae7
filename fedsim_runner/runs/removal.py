"""Removing a run, or all runs, from another shell, also when their control node is gone."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from ..console.progress import Progress
from ..contract.errors import Exit, FedsimError, exit_for_stage
from ..testbed.docker.engine import NoEngineError, lab_engine
from ..testbed.docker.orphans import end_processes
from ..testbed.docker.playbook import CONTROL_VARIABLE, RUN_VARIABLE
from ..testbed.docker.playbook_session import PlaybookSession
from .folder import give_to_user
from .lookup import STATE_ROOT, KnownRun, all_runs, find_run, inventory_for, lab_hosts_of
from .prepare import PROCESSES, check_privileges, reservations
from .registry import Registry

TRIES = 2


def remove_run(run: str, console: Console, runs_dir: Path | None = None) -> Exit:
    """Remove everything that a run has on the lab host; safe to call twice, and without its run folder.

    Raises:
        FedsimError: another process works on the run, or this user may not.
    """
    known = find_run(run, runs_dir)
    registry = Registry()
    with registry.hold(run):
        # Ansible outlives a control node that was killed, and would go on creating what is removed here.
        orphans = end_processes(RUN_VARIABLE, run, only_orphans_of=CONTROL_VARIABLE)
        if orphans:
            console.print(f"{run}: ended {orphans} processes whose control node is gone", highlight=False)
        if known.entry is not None and known.entry.lab_host == PROCESSES:
            code = Exit.DONE
        else:
            code = _destroy(known, console)
        if code is Exit.DONE:
            registry.forget(run)
            reservations().release(run)
            console.print(f"run {run}: nothing is left on the lab host", highlight=False)
        return code


def remove_all(console: Console) -> Exit:
    """Remove all runs but those that a living process works on; the worst exit code.

    Raises:
        FedsimError: the Engine cannot be asked, or this user may not.
    """
    worst = Exit.DONE
    for run in all_runs():
        try:
            code = remove_run(run, console)
        except FedsimError as error:
            if error.exit is not Exit.SPEC:
                raise
            console.print(f"skipped: {error}", highlight=False)
            continue
        if code is not Exit.DONE:
            worst = code
    return worst


def _destroy(known: KnownRun, console: Console) -> Exit:
    mend = f"fedsim-provision down {known.run}"
    with inventory_for(known) as (folder, hosts_file), Progress(console, 0) as progress:
        check_privileges()
        told = "interrupted: stopping the teardown"
        with PlaybookSession(known.run, folder, hosts_file, lab_hosts_of(known), progress, {}, told) as session:
            for _ in range(TRIES):
                result = session.run("destroy.yml")
                if result.status == "canceled":
                    progress.note(f"the teardown was interrupted; finish it with: {mend}")
                    return Exit.INTERRUPTED
                left = _left(known.run)
                if result.status == "successful" and not left:
                    break
            else:
                if result.failure is not None:
                    progress.note(f"error: teardown: {result.failure.text}", "red")
                    return exit_for_stage(result.failure.stage, result.failure.exit_code)
                progress.note(f"error: still there: {', '.join(left)}", "red")
                return Exit.PROVISIONING
        if known.folder is not None:
            give_to_user(known.folder)
    return Exit.DONE


def _left(run: str) -> list[str]:
    try:
        with lab_engine() as engine:
            left = engine.left_over(run)
    except NoEngineError:
        left = []
    state = STATE_ROOT / run
    return [*left, str(state)] if state.exists() else left
