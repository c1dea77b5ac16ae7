"""What may happen to a lab of several lab hosts: one is cut off, an agent dies, SSH drops, a control node is killed."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.acts import interrupt
from tests.faults.lab_run import LabRun
from tests.faults.live_run import LiveRun
from tests.faults.scenario import ENDED, Outcome, Scenario, Start, Step, round_ends
from tests.lab.lab_hosts import faults

LAB, FAILED = 3, 5
SILENCE_S = 20
# What a lab host that is cut off may add to that until it is named.
CUT_OFF_S = 15
SSH_AWAY_S = 8.0
# The plan spreads three equal devices over three equal lab hosts.
AWAY = "mote-2"


def _on_a_lab(run: LiveRun) -> LabRun:
    assert isinstance(run, LabRun)
    return run


@contextmanager
def _without_lab3(run: LiveRun) -> Iterator[None]:
    lab = _on_a_lab(run).lab
    lab.cut("lab3")
    try:
        yield
    finally:
        lab.reconnect("lab3")


def _cut_off(run: LiveRun) -> None:
    run = _on_a_lab(run)
    run.lab.cut(run.carried_by(AWAY).name)


def _reconnect_all(run: LiveRun) -> None:
    run = _on_a_lab(run)
    for host in run.lab.hosts:
        run.lab.reconnect(host.name)


def _kill_agent(run: LiveRun) -> None:
    faults.kill_agent(_on_a_lab(run).carried_by(AWAY), run.run)


def _restart_engine(run: LiveRun) -> None:
    faults.restart_engine(_on_a_lab(run).carried_by(AWAY))


def _drop_ssh(run: LiveRun) -> None:
    """End all SSH connections of all lab hosts, and let none in for a while."""
    hosts = _on_a_lab(run).lab.hosts
    for host in hosts:
        faults.stop_ssh(host)
    time.sleep(SSH_AWAY_S)
    for host in hosts:
        faults.start_ssh(host)


def _carried_on_from_another(run: LiveRun) -> Iterator[str]:
    """What is wrong with status, collect and down of somebody who has the lab's inventory and nothing else."""
    found = _on_a_lab(run)
    home = run.where / "another"
    for verb, *options in (("status",), ("collect", "-o", str(home / "fetched")), ("down",)):
        done = run.call(verb, run.run, *found.lab_options, *options, home=home)
        if done.returncode != 0:
            yield f"{verb} from another control node ended with exit code {done.returncode}: {done.stdout}"
    collected = home / "fetched" / "collected"
    if missing := [name for name in ("server", "mote-1", "mote-2") if not (collected / name).is_dir()]:
        yield f"another control node did not collect {', '.join(missing)}"
    if left := run.left_over():
        yield f"left by another control node: {', '.join(left)}"


SCENARIOS = (
    Scenario(
        "lab-host-unreachable",
        "A lab host that cannot be reached at the start is named, and nothing is made on the others",
        Start(around=_without_lab3),
        (),
        Outcome(LAB, says=("lab3", "--allow-missing-hosts")),
        lab=True,
    ),
    Scenario(
        "lab-host-left-out",
        "With --allow-missing-hosts the others carry the run",
        Start(rounds=5, options=("--allow-missing-hosts",), around=_without_lab3),
        (),
        Outcome(0, says=("lab3",), finished=True, collected=("server", "mote-1", "mote-2")),
        lab=True,
    ),
    Scenario(
        "lab-host-lost",
        "The devices of a lab host that is cut off are lost, and the course goes on with the others",
        Start(course={"silence_timeout": SILENCE_S, "on_client_failure": "continue"}),
        (Step(round_ends(2), _cut_off), Step(ENDED, _reconnect_all)),
        Outcome(
            0,
            noticed_s=SILENCE_S + CUT_OFF_S,
            lost={AWAY: "lab host|silent"},
            finished=True,
            collected=("server", "mote-1"),
            removed_by_down=True,
        ),
        lab=True,
    ),
    Scenario(
        "lab-agent-killed",
        "A dead agent on one of several lab hosts ends the run with its name",
        Start(),
        (Step(round_ends(2), _kill_agent),),
        Outcome(FAILED, reason="agent"),
        lab=True,
    ),
    Scenario(
        "lab-engine-restarted",
        "The devices of a lab host whose Engine is restarted are lost, and the course goes on with the others",
        Start(course={"silence_timeout": SILENCE_S, "on_client_failure": "continue"}),
        (Step(round_ends(2), _restart_engine),),
        Outcome(0, noticed_s=SILENCE_S, lost={AWAY: "Engine"}, finished=True, collected=("server", "mote-1")),
        lab=True,
    ),
    Scenario(
        "lab-control-node-killed",
        "A run whose control node was killed is carried on from another one",
        Start(),
        (Step(round_ends(2), interrupt(signal.SIGKILL)),),
        Outcome(-signal.SIGKILL, removed_by_down=True, checks=(_carried_on_from_another,)),
        lab=True,
    ),
    Scenario(
        "lab-ssh-drops",
        "SSH connections that end during the course, and cannot be made for a while, do no harm",
        Start(rounds=400),
        (Step(round_ends(2), _drop_ssh),),
        Outcome(0, finished=True, collected=("server", "mote-1", "mote-2")),
        lab=True,
    ),
)
