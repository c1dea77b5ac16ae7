"""Whose a run is: other commands beside one that goes on, and a run again under the name of a killed one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import yaml

from fedsim_runner.contract.paths import COLLECTED, INVENTORY, MANIFEST, PLAN
from tests.faults.acts import interrupt
from tests.faults.live_run import DOWN_S, LiveRun
from tests.faults.scenario import Moment, Outcome, Scenario, Start, Step, round_ends

REPOSITORY = Path(__file__).parents[3]
DEVICES = ("server", "mote-1", "mote-2")
REFUSED, DONE, KILLED = 2, 0, -9
AGAIN_ROUNDS = 3
# What the command wrote before its course; nothing of it may change.
WRITTEN = ("experiment.yaml", PLAN, MANIFEST, "inputs/experiment.json", f"{INVENTORY}/hosts.yml")


def _another(run: LiveRun, rounds: int = AGAIN_ROUNDS, clients: int = 1) -> str:
    path = run.where / "another.yaml"
    path.write_text(yaml.safe_dump(Start(rounds=rounds, clients=clients).spec()), encoding="utf-8")
    return str(path)


def _written(run: LiveRun) -> dict[str, bytes]:
    return {name: (run.folder / name).read_bytes() for name in WRITTEN}


def _call(run: LiveRun, code: int, says: str, *arguments: str, home: str = "") -> None:
    """Call the command and note what is wrong with its answer."""
    done = run.call(*arguments, home=run.where / home if home else None)
    run.others.append(done)
    assert done.returncode == code, f"{arguments}: exit code {done.returncode}:\n{done.stdout}"
    assert says in " ".join(done.stdout.split()), f"{arguments} did not say {says!r}:\n{done.stdout}"


def _commands_beside(run: LiveRun) -> None:
    before, owner = _written(run), f"is being worked on by process {run.process.pid} of user "
    _call(run, REFUSED, owner, "up", _another(run), "--run", run.run)
    _call(run, REFUSED, owner, "down", run.run, home="elsewhere")
    _call(run, DONE, f"skipped: run {run.run} {owner}", "down", "--all", home="elsewhere")
    _call(run, DONE, "", "collect", run.run)
    report = json.loads((run.folder / "so-far" / "report.json").read_text(encoding="utf-8"))
    assert report["status"] == "running", report["status"]
    assert run.process.poll() is None, "the course was over before all was tried"
    assert _written(run) == before, "the run folder was changed"


def _plain_ansible_beside(run: LiveRun) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "playbooks/destroy.yml", "-e", f"fedsim_run={run.run}"],
        cwd=REPOSITORY,
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        timeout=DOWN_S,
        check=False,
    )
    assert done.returncode != 0, done.stdout
    said = " ".join(done.stdout.split())
    assert f"is being worked on by process {run.process.pid} of user " in said, done.stdout


def _about_its_own_devices(run: LiveRun) -> list[str]:
    found = {path.name for path in (run.folder / COLLECTED).iterdir()} | set(run.report.get("devices", {}))
    return [] if found == set(DEVICES) else [f"the results are about {sorted(found)}"]


def _run_again(run: LiveRun) -> None:
    _call(run, DONE, "processes whose control node is gone", "run", _another(run, clients=2), "--run", run.run)


def _has_its_own_course(run: LiveRun) -> list[str]:
    rounds = [entry["round"] for entry in run.report.get("rounds", [])]
    opened = len(run.events("gate_opened"))
    problems = [] if rounds == [*range(1, AGAIN_ROUNDS + 1)] else [f"the report has the rounds {rounds}"]
    return problems if opened == 1 else [*problems, f"the journal has {opened} openings of the gate"]


SCENARIOS = (
    Scenario(
        "others-beside",
        "`up`, `run`, `collect` and `down` of a live run, from another home and by plain Ansible, disturb nothing",
        Start(rounds=150),
        (Step(round_ends(1), _plain_ansible_beside), Step(Moment(), _commands_beside)),
        Outcome(0, within_s=180, finished=True, collected=DEVICES, checks=(_about_its_own_devices,)),
    ),
    Scenario(
        "again-after-sigkill",
        "A run again under the name of a killed one, whose Ansible goes on, has a course of its own",
        Start(),
        (Step(round_ends(2), interrupt(signal.SIGKILL, group=False)), Step(Moment(), _run_again)),
        Outcome(KILLED, finished=True, removed_by_down=True, checks=(_has_its_own_course,)),
    ),
)
