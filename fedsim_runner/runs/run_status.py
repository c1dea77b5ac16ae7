"""The progress of a run and the state of its devices, asked from another shell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..contract.course_state import ENDED as DEVICE_ENDED
from ..contract.errors import Exit, FedsimError
from ..contract.paths import REPORT
from ..contract.plain_folder import NotPlainError, require_plain
from ..lab.inventory_error import LabInventoryError
from ..results.run_files import read_course, read_json
from ..testbed.values import UnreachableError
from .hold import is_held
from .labs import NO_OPTIONS, LabOptions
from .left_over import left_over, why_unknown
from .lookup import find_run, testbed_of

# The state of a run of which nothing is left on its testbed, and of its devices, unless they had ended before.
REMOVED = "removed"
# The beginnings of the final states of a run.
ENDED = ("finished", "failed", "interrupted", "cut short", REMOVED)


class UnknownRunError(FedsimError):
    """Neither this control node nor the lab knows the run."""

    exit = Exit.SPEC


def status_of_all(runs: Mapping[str, LabOptions]) -> list[dict[str, Any]]:
    """The states of runs by name, each with the lab that it is on; without those that have ended and gone meanwhile."""
    answers = []
    for name, lab in runs.items():
        try:
            answers.append(status_of(name, lab=lab))
        except UnknownRunError:
            continue
        except LabInventoryError as error:  # that of an old run may be gone, and must not keep the others from view
            answers.append({**_blank(name, find_run(name).folder), "state": "unknown", "reason": str(error)})
    return answers


def _blank(run: str, folder: Path | None) -> dict[str, Any]:
    """What is said of a run of which nothing is known yet."""
    return {
        "run": run,
        "state": None,
        "round": None,
        "total_rounds": None,
        "results": {},
        "time_factor": None,
        "reason": None,
        "device": None,
        "devices": {},
        "folder": None if folder is None else str(folder),
        "control_node": False,
    }


def status_of(run: str, runs_dir: Path | None = None, lab: LabOptions = NO_OPTIONS) -> dict[str, Any]:
    """The state of a run and of its devices: from its testbed, otherwise from the run folder.

    If there is neither an agent nor a report yet, the progress of the course is read from the journal.

    Raises:
        UnknownRunError: the run is not known anywhere.
    """
    known = find_run(run, runs_dir)
    answer = _blank(run, known.folder)
    testbed = testbed_of(known, lab)
    # Also that of another user, who has a registry of his own.
    answer["control_node"] = alive = is_held(run) or testbed.worked_on_by(run) is not None
    now, silent = None, None
    try:
        now = testbed.status(run)
    except UnreachableError as error:
        silent = error
    answer |= now or {}
    folder = known.folder
    if folder is not None:
        try:
            require_plain(folder)
        except NotPlainError as error:
            folder, answer["reason"] = None, answer["reason"] or f"its folder is not read: {error}"
    report = {} if folder is None else read_json(folder / REPORT)
    if answer["state"] is None and report:
        answer.update(state=report.get("status"), reason=report.get("reason"), device=report.get("device"))
        rounds, devices = report.get("rounds"), report.get("devices")
        answer["round"] = len(rounds) if isinstance(rounds, list) else None
        answer["total_rounds"] = report.get("total_rounds")
        answer["time_factor"] = report.get("time_factor", 1.0)
        answer["results"] = report.get("final") or {}
        for name, entry in devices.items() if isinstance(devices, dict) else ():
            if not isinstance(entry, dict):
                continue
            seen = answer["devices"].setdefault(
                name, {"state": entry.get("state"), "exit_code": entry.get("exit_code")}
            )
            # For a device that has ended, the peak takes the place of the current usage.
            seen.setdefault("memory_bytes", entry.get("memory_peak_bytes"))
            seen.setdefault("memory_limit_bytes", entry.get("memory_limit_bytes"))
    elif answer["state"] is None and folder is not None:
        _add_course(folder, answer)
    if answer["state"] is None and alive:
        answer["state"] = "running"
    elif answer["state"] is None and known.entry is not None:
        gone = known.entry.state == "running"
        answer["state"] = "cut short: its control node is gone" if gone else known.entry.state
    remains = now is None and bool(left_over(testbed, run))
    if answer["state"] is None and remains:
        answer["state"] = "cut short: only its state folder is left"
    if answer["state"] is None and folder is not known.folder:
        answer["state"] = "unknown"
    if now is None and not (remains or alive) and why_unknown(testbed) is None:
        _mark_removed(answer)
    if silent is not None and not answer["reason"] and not str(answer["state"]).startswith(ENDED):
        answer["reason"] = str(silent)  # what is shown is what was known before
    if now is None and known.entry is None and folder is known.folder and not (report or remains or alive):
        raise UnknownRunError(f"no run {run} is known here or on the lab host (fedsim-provision status lists all)")
    return answer


def _add_course(folder: Path, answer: dict[str, Any]) -> None:
    """Add the progress of the course according to the journal."""
    course = read_course(folder)
    if not course.events:
        return
    answer["round"] = max([course.round, *course.evaluations])
    answer["time_factor"] = course.time_scale.factor
    if course.evaluations:
        answer["results"] = list(course.evaluations.values())[-1].results
    for name, device in course.devices.items():
        if device.state is not None:
            answer["devices"].setdefault(name, {"state": device.state, "exit_code": device.exit_code})


def _mark_removed(answer: dict[str, Any]) -> None:
    """Correct what was last known of a run that is no longer on its testbed."""
    if not str(answer["state"]).startswith((*ENDED, "unknown")):
        answer["state"] = REMOVED
    for device in answer["devices"].values():
        if device["state"] not in DEVICE_ENDED:
            device["state"] = REMOVED
