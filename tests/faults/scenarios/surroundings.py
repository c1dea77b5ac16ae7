"""What is around the command: its output, other commands, an experiment that changes between two `up`."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from tests.faults.acts import beside, close_output, nothing
from tests.faults.live_run import LiveRun
from tests.faults.scenario import ENDED, Act, Check, Moment, Outcome, Scenario, Start, Step, round_ends

OUTPUT_FULL, PIPE_CLOSED = 74, 141


def _refused(run: LiveRun) -> list[str]:
    """The other commands said that the run is alive, and did nothing."""
    problems = []
    for other in run.others:
        words = " ".join(other.args[3:])
        if other.returncode == 0:
            problems.append(f"{words} was not refused:\n{other.stdout}")
        elif run.run not in other.stdout or "Traceback" in other.stdout:
            problems.append(f"{words} did not say whose the run is:\n{other.stdout}")
    return problems


def _unchanged(clients: Sequence[str]) -> Check:
    def check(run: LiveRun) -> list[str]:
        devices = sorted(run.report.get("devices", {}))
        return [] if devices == sorted(["server", *clients]) else [f"the report is about {devices}"]

    return check


def _another_spec(verb: str) -> Act:
    """`up` or `run` of another experiment under the name of the live run."""

    def act(run: LiveRun) -> None:
        spec = Start(rounds=3, clients=1).spec()
        path = run.where / "another.yaml"
        path.write_text(yaml.safe_dump(spec), encoding="utf-8")
        run.others.append(run.call(verb, str(path), "--run", run.run))
        elsewhere = ["--runs-dir", str(run.where / "elsewhere" / "runs")]
        run.others.append(run.call(verb, str(path), "--run", run.run, *elsewhere, home=run.where / "elsewhere"))

    return act


def _rename(run: LiveRun) -> None:
    """Devices are renamed, removed and inserted in front of others; `up` changes the testbed accordingly."""
    for names in (["pie", "mote-2"], ["new", "mote-2", "pie"], ["mote-2"]):
        spec = Start().spec()
        spec["devices"][1:] = [{"type": "mote", "name": name} for name in names]
        (run.where / "experiment.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
        run.others.append(run.call("up", str(run.where / "experiment.yaml"), "--run", run.run))


def _all_done(run: LiveRun) -> list[str]:
    return [f"exit code {other.returncode}:\n{other.stdout}" for other in run.others if other.returncode != 0]


SCENARIOS = (
    Scenario(
        "others-beside",
        "`up`, `run` and `down` of a live run from another shell and home are refused and disturb nothing",
        Start(rounds=40),
        (
            Step(round_ends(1), _another_spec("up")),
            Step(Moment(), _another_spec("run")),
            Step(Moment(), beside("down", "RUN")),
        ),
        Outcome(0, within_s=180, finished=True, checks=(_refused, _unchanged(["mote-1", "mote-2"]))),
    ),
    Scenario(
        "pipe-closed",
        "A command whose output nobody reads any more tears its testbed down",
        Start(),
        (Step(round_ends(2), close_output),),
        Outcome(PIPE_CLOSED),
    ),
    Scenario(
        "output-full",
        "A command that cannot write its output tears its testbed down",
        Start(rounds=3, output="/dev/full"),
        (Step(Moment(), nothing),),
        Outcome(OUTPUT_FULL, within_s=180),
    ),
    Scenario(
        "output-ascii",
        "Characters that the terminal lacks are replaced",
        Start(rounds=3, environment={"PYTHONIOENCODING": "ascii"}),
        (Step(Moment(), nothing),),
        Outcome(0, within_s=180, finished=True),
    ),
    Scenario(
        "devices-renamed",
        "Devices are renamed, inserted and removed between two `up`",
        Start(verb=("up",)),
        (Step(ENDED, _rename),),
        Outcome(0, within_s=60, removed_by_down=True, checks=(_all_done,)),
    ),
)
