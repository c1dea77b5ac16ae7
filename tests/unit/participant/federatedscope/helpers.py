"""Courses of FederatedScope itself, started by the launcher as in a container, on the loopback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.federatedscope import PYTHON
from tests.unit.participant.helpers import REPOSITORY, Course, environment, merged

ROUNDS = 3
CONFIG: dict[str, Any] = {
    "use_gpu": False,
    "federate": {"total_round_num": ROUNDS},
    "trainer": {"type": "general"},
    "eval": {"split": ["test"], "report": ["weighted_avg", "raw"], "count_flops": False},
    "early_stop": {"patience": 0},
}
CONTINUE = {"on_client_failure": "continue"}


class TorchCourse(Course):
    """One server and clients of FederatedScope, ready to be started by the launcher."""

    def __init__(
        self, folder: Path, source: Path, clients: int = 2, config: Mapping[str, Any] | None = None, **launch: Any
    ) -> None:
        """``launch``: settings of launcher.json, the same for all."""
        super().__init__(folder, clients, merged(CONFIG, config or {}))
        self.source = source
        for name in self.names:
            self.settings(name, **launch)

    def settings(self, name: str, **launch: Any) -> None:
        """Write a participant's launcher.json."""
        usual = {"on_client_failure": "abort", "min_clients": 1, "round_deadline_s": None, "patches_off": []}
        text = json.dumps({"device": name} | usual | launch)
        (self.folder / name / "launcher.json").write_text(text, encoding="utf-8")

    def images(self) -> None:
        """Give the shards the shape that a convolutional net needs."""
        for name in self.names:
            path = self.folder / name / "shard.npz"
            with np.load(path) as archive:
                arrays = dict(archive)
            for key in arrays:
                if key.endswith("_x"):
                    arrays[key] = arrays[key].reshape(-1, 1, 8, 8)
            np.savez(path, **arrays)

    def start(self, *names: str, patch: str | None = None) -> None:
        """Start these participants, or all. ``patch``: Python that runs in the process before the launcher."""
        for name in names or self.names:
            own = self.folder / name
            start = ["-m", "fedsim_runner.participant"]
            if patch is not None:
                start = ["-c", f"{patch}\nfrom fedsim_runner.participant.__main__ import main\nmain()"]
            options = ["--config", str(own / "config.yaml"), "--gate", str(self.gate), "--out", str(own)]
            self.spawn(name, [PYTHON, *start, "--engine", "federatedscope", *options], variables(self.source))

    def go(self, *names: str, patch: str | None = None) -> None:
        """Start with an open gate."""
        self.open_gate()
        self.start(*names, patch=patch)

    def lose(self, *names: str, reason: str = "it is gone") -> None:
        """Report these clients to the server as lost, as the agent does; without Docker the key is the address."""
        path = self.gate / "lost.json"
        lost = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        lost |= {f"127.0.0.1:{self.ports[name]}": reason for name in names}
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(lost), encoding="utf-8")
        draft.replace(path)

    def activity(self, name: str) -> list[dict[str, Any]]:
        """A participant's activity records so far."""
        return [json.loads(line) for line in self.log(name, "activity.jsonl").splitlines()]

    def wait_for(self, name: str, text: str, timeout: float = 180) -> None:
        """Wait until a participant has logged this (a regular expression)."""
        wait_until(lambda: re.search(text, self.log(name)), timeout, lambda: f"{name}: {text}\n{self.said(name)}")

    def client_ids(self) -> dict[str, int]:
        """FederatedScope's ids, by device name."""
        found = {name: re.search(r"is assigned with #(\d+)", self.log(name)) for name in self.names[1:]}
        return {name: int(match[1]) for name, match in found.items() if match}


def variables(source: Path) -> dict[str, str]:
    """Where FederatedScope and the launcher are found."""
    paths = os.pathsep.join([str(REPOSITORY), str(source)])
    return environment() | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}


def run_python(source: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` where FederatedScope and the launcher can be imported."""
    return subprocess.run(
        [PYTHON, "-c", code, *arguments], capture_output=True, text=True, env=variables(source), check=False
    )


def wait_until(condition: Callable[[], Any], timeout: float, describe: Callable[[], str]) -> None:
    """Wait until ``condition`` holds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"not seen within {timeout:g} s: {describe()}"
        time.sleep(0.05)


def accuracy(course: Course, kind: str = "Results_weighted_avg") -> float:
    """Test accuracy in the server's last evaluation of a round."""
    found = [line for line in course.log("server", "eval_results.log").splitlines() if kind in line]
    return float(re.findall(r"'test_acc': ([\d.]+)", found[-1])[-1])


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """Processor time of a running process."""
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def anonymous_mb(process: subprocess.Popen[bytes]) -> float:
    """Memory of a running process that no file backs, MB."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024
