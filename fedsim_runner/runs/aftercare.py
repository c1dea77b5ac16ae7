"""What can be done with a run from another shell, also when its control node is gone: collect it, remove it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from ..results import RUNNING, write_report
from ..results.run_files import read_json
from ..results.page import try_publish
from ..testbed.docker.engine import NoEngineError, lab_engine
from ..contract.errors import Exit, FedsimError, exit_for_stage
from .folder import give_to_user
from .lookup import STATE_ROOT, KnownRun, all_runs, find_run, inventory_for, lab_hosts_of
from .prepare import PROCESSES, check_privileges, reservations
from ..testbed.docker.orphans import end_processes
from ..console.progress import Progress
from .registry import Registry, RunBusyError
from ..testbed.docker.playbook import CONTROL_VARIABLE, RUN_VARIABLE
from ..testbed.docker.playbook_session import Stagehand

TRIES = 2
# With these words the states of a run begin in which nothing changes any more.
ENDED = ("finished", "failed", "interrupted", "cut short")


def remove_run(run: str, console: Console, runs_dir: Path | None = None) -> Exit:
    """Remove everything that a run has on the lab host; safe to call twice, and without its run folder.

    Raises:
        FedsimError: another process works on the run, or this user may not.
    """
    known = find_run(run, runs_dir)
    registry = Registry()
    try:
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
    except RunBusyError as error:
        raise FedsimError(str(error), Exit.SPEC) from error


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
            if error.code is not Exit.SPEC:
                raise
            console.print(f"skipped: {error}", highlight=False)
            continue
        if code is not Exit.DONE:
            worst = code
    return worst


def collect_run(run: str, console: Console, into: Path | None = None) -> tuple[dict[str, Any], Path]:
    """Fetch what a run has so far and write its report. Returns the report and the folder it lies in.

    Raises:
        FedsimError: the lab host has nothing of the run, it could not be fetched, or this user may not.
    """
    known = find_run(run)
    with lab_engine() as engine:
        if not engine.left_over(run):
            raise FedsimError(f"run {run} has nothing on the lab host (any more)", Exit.SPEC)
        told = engine.ask_agent(run, "status", {}) or {}
    target = (into or known.folder or Path("runs") / run).resolve()
    target.mkdir(parents=True, exist_ok=True)
    with inventory_for(known) as (_, hosts_file), Progress(console, 0) as progress:
        check_privileges()
        notice = "interrupted: stopping"
        with Stagehand(run, target, hosts_file, lab_hosts_of(known), progress, {}, notice) as hand:
            result = hand.play("collect.yml")
        if result.status == "canceled":
            raise FedsimError("interrupted", Exit.INTERRUPTED)
        if result.failure is not None:
            raise FedsimError(
                f"{run}: {result.failure.text}", exit_for_stage(result.failure.stage, result.failure.exit_code)
            )
        going_on = told.get("state") in ("provisioned", "running")
        report = write_report(target, inventory_dir=hosts_file.parent, status=RUNNING if going_on else None)
        if problem := try_publish(target, report):
            progress.note(problem, "yellow")
    give_to_user(target)
    return report, target


def _destroy(known: KnownRun, console: Console) -> Exit:
    mend = f"fedsim-provision down {known.run}"
    with inventory_for(known) as (folder, hosts_file), Progress(console, 0) as progress:
        check_privileges()
        told = "interrupted: stopping the teardown"
        with Stagehand(known.run, folder, hosts_file, lab_hosts_of(known), progress, {}, told) as hand:
            for _ in range(TRIES):
                result = hand.play("destroy.yml")
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


def status_of(run: str, runs_dir: Path | None = None) -> dict[str, Any]:
    """State of a run and of its devices: from its agent while it runs, else from the Engine and the run folder.

    Raises:
        FedsimError: nobody knows the run.
    """
    known = find_run(run, runs_dir)
    answer: dict[str, Any] = {
        "run": run,
        "state": None,
        "round": None,
        "total_rounds": None,
        "results": {},
        "reason": None,
        "device": None,
        "devices": {},
        "folder": None if known.folder is None else str(known.folder),
        "control_node": known.entry is not None and known.entry.alive,
    }
    engine_known = _add_engine_state(run, answer)
    report = {} if known.folder is None else read_json(known.folder / "report.json")
    if answer["state"] is None and report:
        answer.update(state=report.get("status"), reason=report.get("reason"), device=report.get("device"))
        answer["round"] = len(report.get("rounds") or [])
        answer["total_rounds"] = report.get("total_rounds")
        answer["results"] = report.get("final") or {}
        for name, entry in (report.get("devices") or {}).items():
            seen = answer["devices"].setdefault(
                name, {"state": entry.get("state"), "exit_code": entry.get("exit_code")}
            )
            # What an ended device used at most stands for what one uses now.
            seen.setdefault("memory_bytes", entry.get("memory_peak_bytes"))
            seen.setdefault("memory_limit_bytes", entry.get("memory_limit_bytes"))
    if answer["state"] is None and known.entry is not None:
        gone = known.entry.state == "running" and not known.entry.alive
        answer["state"] = "cut short: its control node is gone" if gone else known.entry.state
    remains = (STATE_ROOT / run).is_dir()
    if answer["state"] is None and remains:
        answer["state"] = "cut short: only its state folder is left"
    if not engine_known and known.entry is None and not report and not remains:
        raise FedsimError(
            f"no run {run} is known here or on the lab host (fedsim-provision status lists all)", Exit.SPEC
        )
    return answer


def _add_engine_state(run: str, answer: dict[str, Any]) -> bool:
    try:
        with lab_engine() as engine:
            left = engine.left_over(run)
            containers = engine.containers(run, "device") if left else {}
            for name, item in sorted(containers.items()):
                answer["devices"][name] = {"state": item["State"], "exit_code": None}
            told = engine.ask_agent(run, "status", {}) if left else None
    except NoEngineError:
        return False
    if told is not None:
        answer.update({key: told.get(key) for key in ("state", "round", "total_rounds", "reason", "device")})
        answer["results"] = told.get("results") or {}
        # In the agent's order, which begins with the server.
        seen = answer["devices"]
        answer["devices"] = {
            name: {**seen.get(name, {}), **entry} for name, entry in (told.get("devices") or {}).items()
        }
        answer["devices"] |= {name: entry for name, entry in seen.items() if name not in answer["devices"]}
    elif left:
        answer["state"] = "up, without its agent"
    return bool(left)
