"""Courses of real processes on the loopback."""

from __future__ import annotations

import copy
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fedsim_runner.agent.course.limits import Limits
from fedsim_runner.agent.course.supervision import Supervisor
from fedsim_runner.contract.events import Evaluated
from fedsim_runner.contract.participant_events import (
    EVENTS,
    Admitted,
    ClientLost,
    DeadlinePassed,
    MessageRefused,
    ParticipantEvent,
    QuorumReached,
    Result,
    TargetReached,
    Update,
    Warned,
    parse,
)
from fedsim_runner.participant.federatedscope.loglines import LogReader

REPOSITORY = Path(__file__).parents[3]
LOOPBACK = "127.0.0.1"

CONFIG: dict[str, Any] = {
    "seed": 7,
    "federate": {"mode": "distributed", "method": "FedAvg", "total_round_num": 10, "make_global_eval": True},
    "model": {"type": "lr", "out_channels": 10, "task": "classification"},
    "criterion": {"type": "CrossEntropyLoss"},
    "dataloader": {"batch_size": 32},
    "train": {"batch_or_epoch": "epoch", "local_update_steps": 4, "optimizer": {"lr": 0.1}},
    "eval": {"freq": 1, "metrics": ["acc", "correct"], "best_res_update_round_wise_key": "test_loss"},
    "distribute": {"use": True, "data_idx": -1},
    "data": {"type": "file"},
}


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` overridden by ``over``."""
    result = copy.deepcopy(dict(base))
    for key, value in over.items():
        result[key] = merged(result[key], value) if isinstance(value, Mapping) and key in result else value
    return result


def free_ports(count: int) -> list[int]:
    """Different free ports of the loopback."""
    holders = [socket.socket() for _ in range(count)]
    for holder in holders:
        holder.bind((LOOPBACK, 0))
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return ports


def write_digits(path: Path, part: int, parts: int, splits: tuple[str, ...]) -> None:
    """Every ``parts``-th digit as a shard, from ``part`` on."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    x, y = (digits.data[part::parts] / 16).astype(np.float32), digits.target[part::parts].astype(np.int64)
    cuts = {"train": slice(0, -60), "val": slice(-60, -30), "test": slice(-30, None)}
    arrays = {f"{name}_{key}": array[cuts[name]] for name in splits for key, array in (("x", x), ("y", y))}
    np.savez(path, **arrays)


class Course:
    """One server and ``clients`` clients, ready to be started."""

    def __init__(
        self,
        folder: Path,
        clients: int = 3,
        config: Mapping[str, Any] | None = None,
        policy: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.gate = folder / "gate"
        self.gate.mkdir(parents=True)
        self.names = ["server", *(f"client-{number}" for number in range(1, clients + 1))]
        self.ports = dict(zip(self.names, free_ports(clients + 1), strict=True))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        for number, name in enumerate(self.names):
            own = folder / name
            own.mkdir()
            write_digits(own / "shard.npz", number, clients + 1, ("train", "val", "test") if number else ("test",))
            tree = merged(merged(CONFIG, {"federate": {"client_num": clients}}), config or {})
            distribute = {"role": "client" if number else "server", "server_host": LOOPBACK}
            distribute |= {"server_port": self.ports["server"]}
            if number:
                distribute |= {"client_host": LOOPBACK, "client_port": self.ports[name]}
            over = {"distribute": distribute, "data": {"file_path": str(own / "shard.npz")}}
            tree = merged(tree, over | {"outdir": str(own), "expname": "course"})
            (own / "config.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
            launcher = {"device": name, "on_client_failure": "abort", "min_clients": 1}
            launcher |= {"round_deadline_s": None, "patches_off": [], **(policy or {})}
            (own / "launcher.json").write_text(json.dumps(launcher), encoding="utf-8")

    def start(self, *names: str, patch: str | None = None) -> None:
        """Start these participants, or all. ``patch``: Python that runs in the process before the launcher."""
        for name in names or self.names:
            self.spawn(name, command(self.folder / name, self.gate, patch=patch), environment())

    def spawn(self, name: str, program: list[str], variables: Mapping[str, str], folder: Path = REPOSITORY) -> None:
        """Start any program as this participant."""
        with (self.folder / name / "console.log").open("wb") as console:
            self.processes[name] = subprocess.Popen(program, cwd=folder, stderr=console, env=dict(variables))

    def said(self, name: str) -> str:
        """What a participant has written to standard error."""
        return (self.folder / name / "console.log").read_text(encoding="utf-8", errors="replace")

    def open_gate(self) -> None:
        """Let the participants start."""
        (self.gate / "open").write_text('{"open_at": null}', encoding="utf-8")

    def lose(self, *names: str) -> None:
        """Report exactly these clients to the server as lost, as the agent does."""
        lost = {f"{LOOPBACK}:{self.ports[name]}": "it was killed" for name in names}
        draft = self.gate / "lost.json.draft"
        draft.write_text(json.dumps(lost), encoding="utf-8")
        draft.replace(self.gate / "lost.json")

    def set_offline(self, *names: str) -> None:
        """Report exactly these devices as offline, as the agent does; clients know themselves by their names."""
        offline = [key for name in names for key in (name, f"{LOOPBACK}:{self.ports[name]}")]
        draft = self.gate / "offline.json.draft"
        draft.write_text(json.dumps(offline), encoding="utf-8")
        draft.replace(self.gate / "offline.json")

    def activity(self, name: str) -> list[dict[str, Any]]:
        """A participant's activity records."""
        return [json.loads(line) for line in self.log(name, "activity.jsonl").splitlines()]

    def wait(self, name: str, timeout: float = 60) -> int:
        """A participant's exit code."""
        return self.processes[name].wait(timeout)

    def log(self, name: str, file: str = "exp_print.log") -> str:
        """One of a participant's log files; empty if it does not exist."""
        path = self.folder / name / "course" / file
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def reported(self, name: str) -> list[ParticipantEvent]:
        """Events of a participant; without the launcher, those that its log lines report."""
        path = self.folder / name / EVENTS
        if not path.exists():
            reader = LogReader()
            return [event for line in self.log(name).splitlines() for event in reader.events(line)]
        found = [parse(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert None not in found
        events = [reported.event for reported in found if reported is not None]
        # What is logged says the same, but for what FederatedScope does not log, or only the testbed's policies do.
        ours = Admitted | Update | DeadlinePassed | QuorumReached | ClientLost | MessageRefused | TargetReached | Warned
        logged = [event for event in events if not isinstance(event, ours)]
        reader = LogReader()
        said = [event for line in self.log(name).splitlines() for event in reader.events(line)]
        assert [_without_owner(event) for event in logged] == [_without_owner(event) for event in said]
        return events

    def record(self, name: str) -> dict[str, Any]:
        """A participant's exit.json."""
        return dict(json.loads((self.folder / name / "exit.json").read_text(encoding="utf-8")))

    def end(self) -> None:
        """No process is left."""
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()


def _without_owner(event: ParticipantEvent) -> str:
    """As text, in which nan equals nan. A client's own results need not say whose they are."""
    return str(replace(event, client_id=None) if isinstance(event, Result) else event)


def supervised(course: Course) -> tuple[Supervisor, list[int]]:
    """Everybody's events through the supervisor, as the agent feeds it; also the rounds it saw evaluated."""
    tree = yaml.safe_load((course.folder / "server" / "config.yaml").read_text(encoding="utf-8"))
    supervisor = Supervisor(
        {name: "server" if name == "server" else "client" for name in course.names},
        tree["federate"]["total_round_num"],
        Limits(600, 600, grace_s=1),
        0,
    )
    events = []
    for name in reversed(course.names):
        for line in course.log(name).splitlines():
            supervisor.feed_log(name, line, 1)
        for event in course.reported(name):
            events += supervisor.feed_event(name, event, 1)
        events += supervisor.feed_exit(name, course.processes[name].returncode, False, 2)
    events += supervisor.tick(10)
    return supervisor, [event.round for event in events if isinstance(event, Evaluated) and event.round is not None]


def command(own: Path, gate: Path, engine: str = "light", patch: str | None = None) -> list[str]:
    """As the container starts a participant, without the container."""
    start = ["-m", "fedsim_runner.participant"]
    if patch is not None:
        start = ["-c", f"{patch}\nfrom fedsim_runner.participant.__main__ import main\nmain()"]
    launcher = [sys.executable, *start, "--engine", engine]
    return [*launcher, "--config", str(own / "config.yaml"), "--gate", str(gate), "--out", str(own)]


def environment() -> dict[str, str]:
    """One thread, as in a device."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
