"""The same with FederatedScope itself, whose participants are harder to end and to do without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.faults.acts import freeze, kill, nothing
from tests.faults.live_run import LiveRun
from tests.faults.scenario import Moment, Outcome, Scenario, Start, Step, round_ends

FAILED = 5
SLACK_S = 10
SILENCE_S = 30
CONTINUE: Mapping[str, Any] = {"silence_timeout": SILENCE_S, "on_client_failure": "continue", "timeout": 600}
TORCH = Start(clients=3, engine="federatedscope", course={"silence_timeout": SILENCE_S, "timeout": 600})
GOING_ON = replace(TORCH, rounds=30, course=CONTINUE)


def _too_little_memory(spec: dict[str, Any]) -> None:
    spec["device_types"]["mote"]["memory_mb"] = 64


def _memory_is_named(run: LiveRun) -> list[str]:
    devices = run.report.get("devices", {})
    if any(entry["oom_killed"] for name, entry in devices.items() if name.startswith("mote")):
        return []
    return ["no client's report says that its memory was used up"]


SCENARIOS = (
    Scenario(
        "torch-killed",
        "A client of FederatedScope that is killed ends the course",
        TORCH,
        (Step(round_ends(2), kill("mote-2")),),
        Outcome(FAILED, noticed_s=SLACK_S, reason="mote-2", blames="mote-2"),
    ),
    Scenario(
        "torch-killed-continue",
        "FederatedScope's course goes on without a client that was killed",
        GOING_ON,
        (Step(round_ends(2), kill("mote-2")),),
        Outcome(0, within_s=400, noticed_s=SLACK_S, lost={"mote-2": "SIGKILL"}, finished=True),
    ),
    Scenario(
        "torch-stopped-continue",
        "FederatedScope's course goes on without a frozen client",
        GOING_ON,
        (Step(round_ends(2), freeze("mote-2")),),
        Outcome(0, within_s=400, noticed_s=SILENCE_S + SLACK_S, lost={"mote-2": "frozen"}, finished=True),
        soak=True,  # takes a minute; clients-lost and the light engine's courses have the same agent
    ),
    Scenario(
        "torch-server-killed",
        "A dead server ends FederatedScope's course whatever the policy",
        replace(TORCH, course=CONTINUE),
        (Step(round_ends(2), kill("server")),),
        Outcome(FAILED, noticed_s=SLACK_S, reason="server", collected=("mote-1",)),
    ),
    Scenario(
        "torch-out-of-memory",
        "Too little memory for torch is named",
        replace(TORCH, edit=_too_little_memory),
        (Step(Moment(), nothing),),
        Outcome(FAILED, within_s=400, reason="mote-.*memory", checks=(_memory_is_named,)),
    ),
)
