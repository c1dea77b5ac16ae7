"""Plays a scenario and says what is wrong with its end."""

from __future__ import annotations

import time
from pathlib import Path

import docker

from tests.lab.lab_hosts.lab import Lab

from . import verdict
from .lab_run import LabRun
from .live_run import LiveRun, MissedError
from .scenario import ENDED, Scenario


def play(scenario: Scenario, engine: docker.DockerClient, where: Path, lab: Lab | None = None) -> list[str]:
    """Play a scenario and return what is wrong, one sentence each; empty if it ended as it has to.

    Whatever happens, nothing of the run is left on this machine afterwards.

    Args:
        where: an empty folder; everything that the run wrote stays in it.
        lab: its lab hosts; None: this machine is the only one.
    """
    run = LiveRun(engine, where, scenario.name) if lab is None else LabRun(engine, where, scenario.name, lab)
    with scenario.start.around(run):
        run.start(scenario.start)
        try:
            return _play(scenario, run)
        finally:
            run.remove()
            (where / "output.txt").write_text(run.output, encoding="utf-8")


def _play(scenario: Scenario, run: LiveRun) -> list[str]:
    outcome = scenario.outcome
    try:
        for step in scenario.steps:
            run.wait_for(step.moment)
            if step.moment is not ENDED:  # nobody notices what is done to what is left
                run.stepped = time.time()
            step.act(run)
    except MissedError as error:
        # A drawn moment may lie after the end of the run, which is then one that nothing happened to.
        if not scenario.soak or run.finish(outcome.within_s) != 0:
            return [f"the moment was missed: {error}"]
    if run.finish(outcome.within_s) is None:
        return [f"the command did not end within {outcome.within_s:g} s of the last step", run.output]
    problems = [*verdict.ending(outcome, run), *verdict.report(outcome, run), *verdict.journal(outcome, run)]
    for check in outcome.checks:
        problems += check(run)
    problems += verdict.remains(outcome, run)
    return [*problems, f"it printed:\n{run.output}"] if problems else []
