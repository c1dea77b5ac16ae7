"""What may happen to a lab of several lab hosts: one is cut off, an agent dies, a disk is full, SSH drops.

Each run takes half a minute: where things can happen to the same course one after the other, they do.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.acts import interrupt
from tests.faults.lab_run import LabRun
from tests.faults.live_run import LiveRun
from tests.faults.scenario import ENDED, Outcome, Scenario, Start, Step, round_ends, stage
from tests.lab.lab_hosts import faults

LAB, PROVISIONING, FAILED = 3, 4, 5
SILENCE_S = 20
# What a lab host that is cut off may add to that until it is named.
CUT_OFF_S = 15
SSH_AWAY_S = 8.0
SMALL_DISK_BYTES = 16 << 20
# The plan spreads three equal devices over three equal lab hosts: the server is on lab1.
AWAY, NEARER = "mote-2", "mote-1"
# Of four, the last is alone on lab3.
FARTHEST = "mote-3"
CONTINUE = {"silence_timeout": SILENCE_S, "on_client_failure": "continue"}


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


@contextmanager
def _without_lab3_and_with_a_small_disk(run: LiveRun) -> Iterator[None]:
    host = _on_a_lab(run).lab["lab2"]
    faults.limit_state(host, SMALL_DISK_BYTES)
    try:
        with _without_lab3(run):
            yield
    finally:
        faults.unlimit_state(host)


def _fill_disk(run: LiveRun) -> None:
    faults.fill(_on_a_lab(run).lab["lab2"])


def _cut_lab3_off(run: LiveRun) -> None:
    _on_a_lab(run).lab.cut("lab3")


def _others_are_torn_down(run: LiveRun) -> Iterator[str]:
    """What is left on the lab hosts that could be reached, before ``down``."""
    if left := _on_a_lab(run).left_over_on("lab1", "lab2"):
        yield f"left on lab hosts that could be reached: {', '.join(left)}"
    _reconnect_all(run)


def _cut_off(run: LiveRun) -> None:
    run = _on_a_lab(run)
    run.lab.cut(run.carried_by(AWAY).name)


def _reconnect_all(run: LiveRun) -> None:
    run = _on_a_lab(run)
    for host in run.lab.hosts:
        run.lab.reconnect(host.name)


def _kill_agent(run: LiveRun) -> None:
    faults.kill_agent(_on_a_lab(run).carried_by(AWAY), run.run)


def _restart_agent(run: LiveRun) -> None:
    host = _on_a_lab(run).carried_by(AWAY)
    faults.kill_agent(host, run.run)
    faults.start_agent(host, run.run)


def _restart_engine(run: LiveRun) -> None:
    faults.restart_engine(_on_a_lab(run).carried_by(FARTHEST))


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
        "With --allow-missing-hosts the others carry the run, and of these one with a full disk is lost",
        Start(
            course=CONTINUE,
            rounds=100,
            options=("--allow-missing-hosts",),
            around=_without_lab3_and_with_a_small_disk,
        ),
        (Step(round_ends(2), _fill_disk),),
        Outcome(
            0,
            noticed_s=SILENCE_S,
            says=("lab3",),
            # The agent's disk or the device's own: whichever notices it first.
            lost={AWAY: "[Nn]o space left"},
            finished=True,
            collected=("server", NEARER),
        ),
        lab=True,
    ),
    Scenario(
        "lab-host-lost-in-provisioning",
        "A lab host that is cut off while the testbed is made is named, and the run is removed from the others",
        Start(),
        (Step(stage("network"), _cut_lab3_off),),
        Outcome(
            PROVISIONING,
            says=("failed on lab3", "lab3: ssh does not reach it", "is removed by: fedsim-provision down"),
            reason="lab3|reach",
            removed_by_down=True,
            checks=(_others_are_torn_down,),
        ),
        lab=True,
    ),
    Scenario(
        "lab-host-lost",
        "The devices of a lab host that is cut off are lost, and the course goes on with the others",
        Start(course=CONTINUE),
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
        "lab-hosts-lost-in-turn",
        "A lab host whose agent is started anew is lost, then one whose Engine is: the course goes on with the rest",
        Start(clients=3, course=CONTINUE),
        (Step(round_ends(2), _restart_agent), Step(round_ends(20), _restart_engine)),
        Outcome(
            0,
            noticed_s=SILENCE_S,
            lost={AWAY: "agent", FARTHEST: "Engine|given up by the server"},
            finished=True,
            collected=("server", NEARER),
        ),
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
