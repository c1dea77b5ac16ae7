"""Scenarios that are drawn: the same seed draws the same run, the same faults and the same moments."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .acts import freeze, interrupt, kill, pause, use_up_memory
from .live_run import LiveRun
from .scenario import Act, Moment, Outcome, Scenario, Start, Step, stage

# The stages that a run prints, and its beginning, before it prints anything.
WITH_DOCKER = (
    "",
    "preflight",
    "lab host",
    "images",
    "participants",
    "network",
    "agent",
    "devices",
    "links",
    "course",
    "collect",
    "teardown",
    "report",
)
WITHOUT_DOCKER = ("", "participants", "course")
# Up to which time after the beginning of a stage it may happen: several stages are over by then.
LATEST_S = 4.0
ROUNDS = 20
SILENCE_S = 10
INTERRUPTED, DONE = 130, 0


@dataclass(frozen=True)
class Fault:
    """A way to lose a client, and the pattern of the reason that the journal has to give."""

    act: Callable[[str], Act]
    reason: str


LIGHT_FAULTS = (
    Fault(kill, "SIGKILL"),
    Fault(freeze, "frozen"),
    Fault(pause, "frozen"),
    Fault(use_up_memory, "memory limit"),
)
# A participant with torch takes long to fill its memory while its CPU is limited.
TORCH_FAULTS = LIGHT_FAULTS[:3]


def interruption(seed: int) -> Scenario:
    """A run that gets one signal at one moment; one in eight runs without Docker."""
    draw = random.Random(f"interruption {seed}")
    docker = draw.random() >= 1 / 8
    number = draw.choice((signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL))
    name = draw.choice(WITH_DOCKER if docker else WITHOUT_DOCKER)
    delay_s = round(draw.uniform(0, LATEST_S), 3)
    # A terminal sends a signal to the whole group, `kill` and a service manager to the command alone.
    group = draw.random() < 0.5
    killed = number == signal.SIGKILL
    # Before it has begun the command may end as any program does; a run that was almost over may end as if undisturbed.
    ends = (-number, DONE) if killed else (INTERRUPTED, -number, DONE)
    return Scenario(
        f"soak-interruption-{seed}",
        f"{number.name} to the {'group' if group else 'command'} {delay_s} s after the beginning of {name or 'the run'}"
        + ("" if docker else ", without Docker"),
        Start(rounds=ROUNDS, options=() if docker else ("--no-docker",)),
        (Step(stage(name, delay_s) if name else Moment(delay_s=delay_s), interrupt(number, group)),),
        Outcome(ends, within_s=300, removed_by_down=killed, checks=(_no_end_by_the_signal_of_a_run_that_had_begun,)),
        soak=True,
    )


def _no_end_by_the_signal_of_a_run_that_had_begun(run: LiveRun) -> list[str]:
    code = run.exit_code or 0
    if code >= 0 or code == -signal.SIGKILL or not run.folder.exists():
        return []
    return [f"the run had begun, and the signal {-code} ended it before it could tear down"]


def course(seed: int, engines: Sequence[str] = ("light", "federatedscope")) -> Scenario:
    """A course with ``continue`` that loses one to three of its clients; the engines take turns."""
    draw = random.Random(f"course {seed}")
    engine = engines[seed % len(engines)]
    light = engine == "light"
    clients = draw.randint(3, 5) if light else 3
    victims = draw.sample([f"mote-{number}" for number in range(1, clients + 1)], draw.randint(1, clients - 1))
    faults = {victim: draw.choice(LIGHT_FAULTS if light else TORCH_FAULTS) for victim in victims}
    at = sorted(draw.randint(1, 6) for _ in victims)
    steps = [
        Step(Moment(f"round {number}/", round(draw.uniform(0, 1), 3)), faults[victim].act(victim))
        for number, victim in zip(at, victims, strict=True)
    ]
    listed = ", ".join(
        f"{victim} {faults[victim].reason} after round {number}" for number, victim in zip(at, victims, strict=True)
    )
    return Scenario(
        f"soak-course-{seed}",
        f"{clients} clients, engine {engine}: {listed}",
        Start(
            rounds=40,
            clients=clients,
            engine=engine,
            course={
                "silence_timeout": SILENCE_S if light else 3 * SILENCE_S,
                "on_client_failure": "continue",
                "timeout": 600,
            },
        ),
        tuple(steps),
        Outcome(0, within_s=600, lost={victim: faults[victim].reason for victim in victims}, finished=True),
        soak=True,
    )
