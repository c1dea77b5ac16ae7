"""Fetching what a run has so far, from another shell, also when its control node is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from ..console.progress import Progress
from ..contract import agent_calls
from ..contract.errors import Exit, FedsimError, exit_for_stage
from ..results import RUNNING, write_report
from ..results.page import try_publish
from ..testbed.docker.engine import lab_engine
from ..testbed.docker.playbook_session import PlaybookSession
from .folder import give_to_user
from .lookup import find_run, inventory_for, lab_hosts_of
from .prepare import check_privileges


def collect_run(run: str, console: Console, into: Path | None = None) -> tuple[dict[str, Any], Path]:
    """Fetch what a run has so far and write its report. Returns the report and the folder it lies in.

    Raises:
        FedsimError: the lab host has nothing of the run, it could not be fetched, or this user may not.
    """
    known = find_run(run)
    with lab_engine() as engine:
        if not engine.left_over(run):
            raise FedsimError(f"run {run} has nothing on the lab host (any more)", Exit.SPEC)
        told = engine.ask_agent(run, agent_calls.Status()) or {}
    target = (into or known.folder or Path("runs") / run).resolve()
    target.mkdir(parents=True, exist_ok=True)
    with inventory_for(known) as (_, hosts_file), Progress(console, 0) as progress:
        check_privileges()
        notice = "interrupted: stopping"
        with PlaybookSession(run, target, hosts_file, lab_hosts_of(known), progress, {}, notice) as session:
            result = session.run("collect.yml")
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
