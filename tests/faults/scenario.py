"""The shape of a scenario: what is started, what is done to it at which moment, and how that has to end."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from .live_run import LiveRun

SPEC: Mapping[str, Any] = {
    "name": "faults",
    "seed": 3,
    "device_types": {"mote": {"based_on": "iot-minimal", "cpus": 0.5, "network": "slow"}},
    "devices": [],
    "network": {
        "profiles": {"slow": {"bandwidth_up_kbps": 2000, "bandwidth_down_kbps": 4000, "latency_ms": 20}},
        "verify": "off",  # faults are not about how true links are, and measuring takes seconds
    },
    "course": {"timeout": 300, "silence_timeout": 120},
    "data": {"dataset": "digits", "split": "iid"},
    "federatedscope": {
        "config": {
            "federate": {"total_round_num": 200, "make_global_eval": True},
            "model": {"type": "lr", "out_channels": 10, "task": "classification"},
            "criterion": {"type": "CrossEntropyLoss"},
            "dataloader": {"batch_size": 16},
            "train": {"local_update_steps": 1, "batch_or_epoch": "epoch", "optimizer": {"lr": 0.1}},
            "eval": {"freq": 1, "metrics": ["acc"], "best_res_update_round_wise_key": "test_loss"},
            "early_stop": {"patience": 0},
        }
    },
}
# FederatedScope with torch: a server and clients that hold it.
TORCH = {"based_on": "raspberry-pi", "cpus": 1, "memory_mb": 512, "network": "slow"}

# What no end of a run may show: our own tracebacks, and Ansible's inner life.
UNSPEAKABLE = (r"Traceback \(most recent call last\)", r"object of type '", r"\{\{ ", r"[Ee]rror while evaluating")


@dataclass(frozen=True)
class Start:
    """What is started: one server and ``clients`` clients (mote-1, mote-2 ...) on slow links.

    Attributes:
        rounds: of the course; with 200 it lasts long enough for anything that may happen to it.
        course: more keys of the section ``course``.
        engine: ``light`` or ``federatedscope``.
        edit: changes the experiment as plain data, for what the other attributes do not reach.
        verb: the verb and its options; the experiment file and ``--run`` follow.
        options: what comes after these on the command line.
        environment: variables of the command, besides those that keep it apart from other runs.
        output: a file to which the command prints, of which nothing can be seen then.
        around: the surroundings of the run as a context, entered before the command starts and left after the last
            check.
    """

    rounds: int = 200
    clients: int = 2
    course: Mapping[str, Any] = field(default_factory=dict)
    engine: str = "light"
    edit: Callable[[dict[str, Any]], None] | None = None
    verb: tuple[str, ...] = ("run",)
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    output: str = ""
    around: Callable[[LiveRun], AbstractContextManager[Any]] = nullcontext

    def spec(self) -> dict[str, Any]:
        """The experiment as plain data."""
        spec = copy.deepcopy(dict(SPEC))
        kind: dict[str, Any] = {"type": "mote"} if self.engine == "light" else {"type": "mote", "engine": self.engine}
        server = {"name": "server", "role": "server", **kind}
        if self.engine != "light":
            spec["device_types"] = {"mote": dict(TORCH)}
            server["overrides"] = {"memory_mb": 1024}
        spec["devices"] = [server, {"name": "mote", "count": self.clients, **kind}]
        spec["course"].update(self.course)
        spec["federatedscope"]["config"]["federate"]["total_round_num"] = self.rounds
        if self.edit is not None:
            self.edit(spec)
        return spec

    def write(self, folder: Path) -> Path:
        """Write the experiment file and return its path."""
        path = folder / "experiment.yaml"
        path.write_text(yaml.safe_dump(self.spec(), sort_keys=False), encoding="utf-8")
        return path


@dataclass(frozen=True)
class Moment:
    """A moment of a run: the command has printed ``text`` (at once if it is empty), then ``delay_s`` have gone by."""

    text: str = ""
    delay_s: float = 0.0


def stage(name: str, delay_s: float = 0.0) -> Moment:
    """The beginning of a stage."""
    return Moment(f"{name} ...", delay_s)


def round_ends(number: int) -> Moment:
    """The end of a round."""
    return Moment(f"round {number}/")


#: The command has ended; for what is done to a testbed that is up.
ENDED = Moment("\0ended")

Act = Callable[["LiveRun"], None]
#: Returns what is wrong, one sentence each.
Check = Callable[["LiveRun"], Iterable[str]]


@dataclass(frozen=True)
class Step:
    """One thing that is done at one moment."""

    moment: Moment
    act: Act


@dataclass(frozen=True)
class Outcome:
    """How a run has to end.

    Attributes:
        exit: the exit code of the command, or all that are right.
        within_s: seconds from the last step to the end of the command: the documented limit of the wait, and time to
            collect and to tear down on a slow machine.
        noticed_s: seconds from the last step until the journal names the device that is at fault (``client_lost``,
            ``course_failed``); None if the journal has nothing of it.
        says: patterns, each found in what the command printed.
        reason: a pattern that is found in the report's ``reason``; with a value the report says "failed".
        blames: the device that ``course_failed`` names.
        lost: a pattern of the reason for each lost client; these clients are lost and no other.
        finished: whether the course has finished, with all its rounds.
        collected: devices whose log, activity and console are in the run folder.
        removed_by_down: whether ``down`` may be needed to remove what is left; else nothing may be left without it.
        checks: whatever else has to be right.
    """

    exit: int | tuple[int, ...]
    within_s: float = 240.0
    noticed_s: float | None = None
    says: tuple[str, ...] = ()
    reason: str = ""
    blames: str = ""
    lost: Mapping[str, str] = field(default_factory=dict)
    finished: bool = False
    collected: tuple[str, ...] = ()
    removed_by_down: bool = False
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True)
class Scenario:
    """A run to which something happens.

    Attributes:
        name: its name, also the beginning of the run's; lower case letters, digits and dashes, at most 40.
        holds: what it shows, as a sentence for people.
        soak: whether only ``make soak`` plays it, since it takes long or is one of many of its kind.
        alone: whether it changes something that others at the same moment would notice.
        lab: whether it runs on a lab of three lab hosts, each with its own Engine (``tests/lab/lab_hosts``).
    """

    name: str
    holds: str
    start: Start
    steps: tuple[Step, ...]
    outcome: Outcome
    soak: bool = False
    alone: bool = False
    lab: bool = False
