"""How far a sweep has got: the state of each of its runs."""

from __future__ import annotations

from typing import Any

from ...contract.course_state import accuracy_of
from ...contract.paths import REPORT
from ...results.run_files import read_json
from ..hold import is_held
from ..run_status import status_of
from .folder import Sweep, SweepRun


def status_of_sweep(sweep: Sweep) -> dict[str, Any]:
    """The states of a sweep and of its runs; a run that has finished is not asked of its testbed any more."""
    runs = [_status(one) for one in sweep.runs]
    finished = sum(one["state"] == "finished" for one in runs)
    state = "finished" if finished == len(runs) else "running" if is_held(sweep.name) else "not complete"
    return {
        "sweep": sweep.name,
        "state": state,
        "finished": finished,
        "folder": str(sweep.folder),
        "runs": runs,
    }


def _status(one: SweepRun) -> dict[str, Any]:
    found: dict[str, Any] = {"run": one.run, "varied": dict(one.varied), "state": "not begun"}
    rounds: int | None = None
    total = results = None
    if one.finished:
        report = read_json(one.folder / REPORT)
        executed, total, results = report.get("rounds"), report.get("total_rounds"), report.get("final")
        rounds = len(executed) if isinstance(executed, list) else None
        found["state"] = "finished"
    elif one.begun:
        answer = status_of(one.run, one.folder.parent)
        rounds, total, results = answer["round"], answer["total_rounds"], answer["results"]
        found["state"] = answer["state"] or "unknown"
    return {**found, "round": rounds, "total_rounds": total, "accuracy": accuracy_of(results)}
