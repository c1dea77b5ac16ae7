"""The life of a run: provision, course, collect, tear down, report; and what happens when it is cut short."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from ..results import render_summary, write_report
from ..results.run_files import read_json
from ..spec.experiment import Experiment
from ..console.plan_view import render_plan
from ..results.page import try_publish
from ..testbed.docker.engine import NoEngineError, lab_engine
from ..contract.errors import Exit, FedsimError, exit_for_stage
from .folder import give_to_user
from ..console.course_now import devices_planned
from .manifest import (record_containers, record_engine, record_federatedscope, record_journal, record_packages, start_manifest, write_manifest)
from .prepare import Prepared, RunOptions, check_privileges, now, prepare_run, reservations
from ..console.progress import Progress
from .registry import Registry
from ..testbed.docker.playbook import PlaybookResult
from ..testbed.docker.playbook_session import LOG, PlaybookSession

# Before these stages a run has no journal and no output that could be fetched.
WORTH_COLLECTING = frozenset({"devices", "links", "course", "collect"})
# In these stages a run makes nothing: where the lab is not fit for it there is nothing to remove.
MAKES_NOTHING = frozenset({"preflight", "lab host"})
# By then the teardown is over.
AFTER_TEARDOWN = frozenset({"report", "verdict"})


# News of a course are shown in steps of about this many seconds; each costs Ansible 0.3 s of CPU.
LIVE_NEWS_S = 1
# On a terminal devices are looked at this often even where there is no news.
LIVE_LOOK_S = 2

Report = dict[str, Any]
T = TypeVar("T")


def run_experiment(experiment: Experiment, options: RunOptions, console: Console) -> tuple[Exit, Report]:
    """The whole way on this machine's Docker Engine. Prints progress and a summary; leaves the run folder.

    Raises:
        FedsimError: nothing was begun: the experiment does not fit, the name is taken, the user may not.
    """

    def work(session: PlaybookSession, prepared: Prepared, manifest: dict[str, Any]) -> tuple[Exit, Report]:
        result = session.run("run_experiment.yml")
        record_engine(manifest, prepared.run)
        record_federatedscope(manifest, prepared.plan.experiment, prepared.folder)
        _finish(session, prepared, result, options.keep)
        code = _exit_code(result)
        report = _report(session, prepared.folder, result)
        manifest["status"] = report["status"]
        record_journal(manifest, prepared.folder)
        record_containers(manifest, prepared.folder)
        record_packages(manifest, prepared.run)
        # The page tells the manifest, so that comes first.
        write_manifest(manifest, prepared.folder, ended=now())
        if problem := try_publish(prepared.folder, report):
            session.progress.note(problem, "yellow")
        console.print(render_summary(report, prepared.folder))
        if options.keep and code is Exit.DONE:
            session.progress.note(f"the testbed is still up (--keep); remove it: fedsim-provision down {prepared.run}")
        return code, report

    return _with_run(experiment, options, console, work)


def provision(experiment: Experiment, options: RunOptions, console: Console) -> Exit:
    """Bring the testbed up to the closed gate, or bring one that is up to what the experiment file says now.

    Raises:
        FedsimError: as for :func:`run_experiment`.
    """

    def work(session: PlaybookSession, prepared: Prepared, manifest: dict[str, Any]) -> Exit:
        result = session.run("up.yml")
        record_engine(manifest, prepared.run)
        record_federatedscope(manifest, prepared.plan.experiment, prepared.folder)
        manifest["status"] = "up" if result.status == "successful" else result.status
        code = _exit_code(result)
        if result.status == "successful":
            session.progress.note(
                f"the testbed of run {prepared.run} is up (changed={result.changed}); "
                f"look: fedsim-provision status {prepared.run}; remove: fedsim-provision down {prepared.run}"
            )
            return code
        _tell_failure(session, result)
        if prepared.existed or options.keep:
            session.progress.note(f"what is there was left as it is; remove it: fedsim-provision down {prepared.run}")
        elif not _made_nothing(prepared, result):
            _tear_down(session, prepared.run)
        return code

    return _with_run(experiment, options, console, work)


def _with_run(
    experiment: Experiment,
    options: RunOptions,
    console: Console,
    work: Callable[[PlaybookSession, Prepared, dict[str, Any]], T],
) -> T:
    registry = Registry()
    began = now()
    check_privileges()
    prepared = prepare_run(experiment, options, began)
    plan, folder = prepared.plan, prepared.folder
    try:
        with (
            registry.hold(plan.run),
            Progress(console, experiment.total_rounds, run=plan.run, devices=devices_planned(plan)) as progress,
        ):
            console.print(f"[bold]plan[/] of run {plan.run}", highlight=False)
            console.print(render_plan(plan))
            manifest = start_manifest(plan, began, "docker", folder, options.repeats)
            write_manifest(manifest, folder)
            registry.record(plan.run, folder, plan.lab_hosts[0].name, plan.subnet, "running")
            extra_vars = {
                "fedsim_keep": options.keep,
                "fedsim_gather_s": LIVE_NEWS_S,
                "fedsim_report_page": False,  # drawn once, when the manifest is complete
                **({"course_wait_s": LIVE_LOOK_S} if console.is_terminal else {}),
                **({"fedsim_devices": options.devices} if options.devices else {}),
                **({"fedsim_image_base": options.image_base} if options.image_base else {}),
            }
            with PlaybookSession(plan.run, folder, prepared.hosts_file, prepared.lab_hosts, progress, extra_vars) as session:
                answer = work(session, prepared, manifest)
            write_manifest(manifest, folder, ended=now())
            registry.record(plan.run, folder, plan.lab_hosts[0].name, plan.subnet, str(manifest["status"]))
    finally:
        reservations().release(plan.run)
        give_to_user(folder)
    return answer


def _finish(session: PlaybookSession, prepared: Prepared, result: PlaybookResult, keep: bool) -> None:
    """After the playbook: fetch and remove what it did not get to, and say what failed."""
    if result.status == "failed" and result.stage != "verdict":
        _tell_failure(session, result)
    if result.status != "successful" and result.stage not in AFTER_TEARDOWN:
        if result.stage in WORTH_COLLECTING and session.interrupts < 2:
            collected = session.run("collect.yml", ignore_interrupts=1)
            if collected.status == "failed":
                _tell_failure(session, collected, "not everything could be collected")
        if keep:
            session.progress.note(f"the testbed was left as it is (--keep): fedsim-provision down {prepared.run}")
        elif not _made_nothing(prepared, result):
            _tear_down(session, prepared.run)
    elif not keep and _left_over(prepared.run):
        _tear_down(session, prepared.run)
    session.save_journal_if_missing()


def _made_nothing(prepared: Prepared, result: PlaybookResult) -> bool:
    return result.stage in MAKES_NOTHING and not prepared.existed and not _left_over(prepared.run)


def _tear_down(session: PlaybookSession, run: str, tries: int = 2) -> bool:
    """Remove everything of the run. Tried again where a call that was in flight left something behind."""
    mend = f"finish it with: fedsim-provision down {run}"
    for _ in range(tries):
        if session.interrupts >= 2:
            session.progress.note(f"the testbed was not torn down; {mend}")
            return False
        result = session.run("destroy.yml", ignore_interrupts=1)
        if result.status == "canceled":
            session.progress.note(f"the teardown was interrupted; {mend}")
            return False
        left = _left_over(run)
        if result.status == "successful" and not left:
            return True
    if result.status == "failed":
        _tell_failure(session, result, "the teardown failed")
    if left:
        session.progress.note(f"still there: {', '.join(left)}", "red")
    session.progress.note(mend)
    return False


def _left_over(run: str) -> list[str]:
    try:
        with lab_engine() as engine:
            return engine.left_over(run)
    except NoEngineError:
        return []


def _report(session: PlaybookSession, folder: Path, result: PlaybookResult) -> dict[str, Any]:
    """The report of the run folder, with what only the wrapper knows of its end."""
    if result.status == "successful":
        return write_report(folder)
    report = write_report(folder) if result.stage != "verdict" else read_json(folder / "report.json")
    if result.status == "canceled":
        if report["status"] == "finished":
            return report
        return write_report(folder, status="interrupted", reason=f"interrupted in stage {result.stage}")
    if report.get("status") == "failed" and result.stage == "verdict":
        return report
    text = result.failure.text if result.failure else "the playbook failed"
    text = text.splitlines()[0] if result.stage == "verdict" else f"stage {result.stage}: {text}"
    return write_report(folder, status="failed", reason=text)


def _exit_code(result: PlaybookResult) -> Exit:
    if result.status == "canceled":
        return Exit.INTERRUPTED
    if result.failure is not None:
        return exit_for_stage(result.failure.stage, result.failure.exit_code)
    return Exit.DONE


def _tell_failure(session: PlaybookSession, result: PlaybookResult, what: str | None = None) -> None:
    """One clear message, with where the rest is."""
    failure = result.failure
    if failure is None:
        return
    where = f" on {failure.host}" if failure.host else ""
    stage = what or f"stage {failure.stage or 'start'} failed"
    session.progress.note(f"error: {stage}{where}: {failure.text}", "red")
    session.progress.note(f"Ansible's whole output: {session.folder / LOG}")
