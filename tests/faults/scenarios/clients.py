"""Clients and the server end, freeze, run out of memory, or are slow. Engine light; docs/failures.md has these rows."""

from __future__ import annotations

import json
from typing import Any

from tests.faults.acts import freeze, kill, nothing, pause, use_up_memory
from tests.faults.live_run import LiveRun
from tests.faults.scenario import Moment, Outcome, Scenario, Start, Step, round_ends, stage

SILENCE_S = 8
# A loaded machine adds this to the time in which something is noticed, and takes this to collect and tear down.
SLACK_S = 10
END_S = 180
# In which the light engine has to load, and the stages before that.
LOADING_S = 110 + 20
DEVICES = ("server", "mote-1", "mote-2")
FAILED = 5

ABORT = {"silence_timeout": SILENCE_S}
CONTINUE = {"silence_timeout": SILENCE_S, "on_client_failure": "continue"}


def _ends_the_course(
    name: str, holds: str, device: str, act: Any, reason: str, noticed_s: float, soak: bool = False
) -> Scenario:
    return Scenario(
        name,
        holds,
        Start(course=ABORT),
        (Step(round_ends(2), act),),
        Outcome(
            FAILED,
            within_s=noticed_s + SLACK_S + END_S,
            noticed_s=noticed_s + SLACK_S,
            says=(device,),
            reason=reason,
            blames=device,
            collected=DEVICES,
        ),
        soak=soak,
    )


def _good_enough(run: LiveRun) -> list[str]:
    accuracy = run.report.get("final", {}).get("test_acc", 0)
    return [] if accuracy > 0.8 else [f"accuracy {accuracy} with the clients that remain"]


def _ended_by_the_agent(*devices: str) -> Any:
    def check(run: LiveRun) -> list[str]:
        codes = {event["device"]: event["exit_code"] for event in run.events("device_exited")}
        return [f"{name} ended with {codes.get(name)}, not by SIGKILL" for name in devices if codes.get(name) != 137]

    return check


def _few_cpus(spec: dict[str, Any]) -> None:
    spec["device_types"]["mote"]["cpus"] = 0.2
    spec["federatedscope"]["config"]["train"]["local_update_steps"] = 2000


def _trained_for_long(run: LiveRun) -> list[str]:
    text = (run.folder / "collected/mote-1/course/activity.jsonl").read_text(encoding="utf-8")
    times = {step["what"]: step["t"] for step in map(json.loads, text.splitlines())}
    took = times["trained"] - times["train"]
    return [] if took > 2 * 3 else [f"the training took {took:.1f} s, too little to tell"]


def _stops_early(spec: dict[str, Any]) -> None:
    # Only the clients' own evaluations are looked at; an improvement of 100 in the loss never comes.
    spec["federatedscope"]["config"]["federate"]["make_global_eval"] = False
    spec["federatedscope"]["config"]["early_stop"] = {"patience": 2, "delta": 100.0}


def _stopped_early(run: LiveRun) -> list[str]:
    rounds = len(run.report.get("rounds") or ())
    problems = [] if run.report.get("status") == "finished" else [f"the report says {run.report.get('status')!r}"]
    return problems if 0 < rounds < 200 else [*problems, f"{rounds} rounds"]


SCENARIOS = (
    _ends_the_course("client-killed", "A client that is killed ends the course", "mote-2", kill("mote-2"), "mote-2", 0),
    _ends_the_course(
        "client-stopped",
        "A client frozen by a signal ends the course",
        "mote-2",
        freeze("mote-2"),
        "mote-2 is frozen",
        SILENCE_S,
    ),
    _ends_the_course(
        "client-paused",
        "A client frozen by the Engine ends the course",
        "mote-1",
        pause("mote-1"),
        "mote-1 is frozen",
        SILENCE_S,
        soak=True,  # client-stopped is much like it, and clients-lost has it
    ),
    _ends_the_course(
        "client-out-of-memory",
        "A client that runs out of memory ends the course",
        "mote-1",
        use_up_memory("mote-1"),
        "mote-1.*killed for lack of memory",
        0 + SLACK_S,  # until the memory is used up
    ),
    _ends_the_course(
        "server-killed", "The server's end ends the course", "server", kill("server"), "server", 0, soak=True
    ),
    _ends_the_course(
        "server-stopped",
        "A frozen server ends the course",
        "server",
        freeze("server"),
        "server is frozen",
        SILENCE_S,
    ),
    Scenario(
        "clients-lost",
        "A course goes on without clients that are killed, frozen or out of memory",
        Start(rounds=40, clients=5, course=CONTINUE),
        (
            Step(round_ends(2), freeze("mote-3")),  # the round cannot end until it is lost
            Step(Moment(), pause("mote-4")),
            Step(Moment(), kill("mote-1")),
            Step(Moment(), use_up_memory("mote-2")),
        ),
        Outcome(
            0,
            within_s=400,
            noticed_s=SILENCE_S + SLACK_S,
            lost={"mote-1": "SIGKILL", "mote-2": "memory limit", "mote-3": "frozen", "mote-4": "frozen"},
            finished=True,
            collected=("server", "mote-1", "mote-2", "mote-3", "mote-4", "mote-5"),
            checks=(_good_enough, _ended_by_the_agent("mote-3", "mote-4")),
        ),
    ),
    Scenario(
        "server-killed-continue",
        "Losing the server ends the course whatever the policy",
        Start(course=CONTINUE),
        (Step(round_ends(2), kill("server")),),
        Outcome(FAILED, noticed_s=SLACK_S, reason="server", blames="server", collected=DEVICES),
    ),
    Scenario(
        "min-clients",
        "Losing one client more than min_clients allows ends the course with the limit",
        Start(course={**CONTINUE, "min_clients": 2}),
        (Step(round_ends(2), kill("mote-2")),),
        Outcome(
            FAILED,
            noticed_s=SLACK_S,
            reason=r"course\.min_clients is 2",
            blames="mote-2",
            collected=DEVICES,
        ),
    ),
    Scenario(
        "slow-training",
        "Training that takes longer than the silence timeout is not silence: the processor time shows the work",
        Start(rounds=1, course={"silence_timeout": 3}, edit=_few_cpus),
        (Step(Moment(), nothing),),
        Outcome(0, within_s=400, finished=True, checks=(_trained_for_long,)),
    ),
    Scenario(
        "early-stop",
        "Early stopping finishes a course with fewer rounds",
        Start(edit=_stops_early),
        (Step(Moment(), nothing),),
        Outcome(0, within_s=400, checks=(_stopped_early,)),
    ),
    Scenario(
        "not-loading",
        "A client that does not load its engine ends the course before the gate opens",
        Start(),
        (Step(stage("links"), freeze("mote-1")),),
        Outcome(
            FAILED,
            within_s=LOADING_S + SLACK_S + END_S,
            noticed_s=LOADING_S + SLACK_S,
            reason="mote-1: did not load its engine within 110 s",
            blames="mote-1",
        ),
        soak=True,
    ),
    Scenario(
        "timeout",
        "A course that takes longer than its timeout fails and names whom it waits for",
        Start(course={"timeout": 15, "silence_timeout": 120}),
        (Step(round_ends(2), freeze("mote-1")),),
        Outcome(FAILED, within_s=15 + SLACK_S + END_S, noticed_s=15 + SLACK_S, reason="15 s", collected=DEVICES),
    ),
)
