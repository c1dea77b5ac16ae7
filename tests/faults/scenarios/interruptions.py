"""The command is interrupted or killed, in every stage: nothing of the run is left."""

from __future__ import annotations

import shutil
import signal
from itertools import cycle

from tests.faults.acts import interrupt
from tests.faults.live_run import LiveRun
from tests.faults.scenario import ENDED, Moment, Outcome, Scenario, Start, Step, round_ends, stage

STAGES = ("lab host", "images", "participants", "network", "agent", "devices", "links", "course", "collect")
GRACEFUL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED, OUTPUT_CLOSED = 130, 141
# Enough for the course to be in progress when it is interrupted, and not to go on for long in the later stages.
START = Start(rounds=30)
WITHOUT_DOCKER = Start(rounds=30, options=("--no-docker",))


def _forget(run: LiveRun) -> None:
    """Remove the run folder and the registry: what is left, then only the lab host knows."""
    shutil.rmtree(run.folder.parent)
    shutil.rmtree(run.where / "state")


def _stopped(name: str, number: signal.Signals, soak: bool) -> Scenario:
    return Scenario(
        f"{number.name.lower()}-{name.replace(' ', '-')}",
        f"{number.name} in stage {name} tears the testbed down",
        START,
        (Step(stage(name), interrupt(number)),),
        Outcome(INTERRUPTED, within_s=180),
        soak=soak,
    )


def _killed(name: str) -> Scenario:
    killed = Step(stage(name), interrupt(signal.SIGKILL))
    forgotten = (Step(ENDED, _forget),) if name in ("links", "course", "collect") else ()
    return Scenario(
        f"sigkill-{name.replace(' ', '-')}",
        f"`down` removes a run whose control node was killed in stage {name}"
        + (", also without its run folder and without the registry" if forgotten else ""),
        START,
        (killed, *forgotten),
        Outcome(-signal.SIGKILL, removed_by_down=True),
    )


def _all_stages() -> list[Scenario]:
    """Each stage with each signal; one of the graceful ones in turn is played by ``make test``."""
    turns = dict(zip(STAGES, cycle(GRACEFUL), strict=False))
    stopped = [_stopped(name, number, number is not turns[name]) for name in STAGES for number in GRACEFUL]
    return stopped + [_killed(name) for name in STAGES]


def _says_how_to_finish(run: LiveRun) -> list[str]:
    return [] if run.found(f"fedsim-provision down {run.run}") else ["it did not say how to finish the teardown"]


SCENARIOS = (
    *_all_stages(),
    Scenario(
        "sigint-twice",
        "A second Ctrl-C also stops the teardown, and the command says how to finish it",
        START,
        (Step(stage("course"), interrupt(signal.SIGINT)), Step(stage("teardown"), interrupt(signal.SIGINT))),
        Outcome(INTERRUPTED, removed_by_down=True, checks=(_says_how_to_finish,)),
    ),
    Scenario(
        "output-closed",
        "Whoever reads the output goes away during the course, as `head` does: the testbed is torn down",
        START,
        (Step(stage("course"), LiveRun.close_output),),
        Outcome(OUTPUT_CLOSED, within_s=180),
    ),
    Scenario(
        "sigterm-without-docker",
        "SIGTERM ends the processes of a course without Docker",
        WITHOUT_DOCKER,
        (Step(round_ends(1), interrupt(signal.SIGTERM, group=False)),),
        Outcome(INTERRUPTED, within_s=180),
    ),
    Scenario(
        "sigkill-without-docker",
        "`down` ends the processes of a course whose command was killed",
        WITHOUT_DOCKER,
        (Step(round_ends(1), interrupt(signal.SIGKILL, group=False)),),
        Outcome(-signal.SIGKILL, removed_by_down=True),
    ),
    Scenario(
        "sigint-at-once",
        "Ctrl-C in the first tenths of a second, while Python still imports the command",
        START,
        (Step(Moment(delay_s=0.3), interrupt(signal.SIGINT)),),
        Outcome((INTERRUPTED, -signal.SIGINT), within_s=60),
    ),
)
