"""FederatedScope itself on simulated devices: the examples, both engines in one course, and all ways to lose a device.

Without a configured source each test is skipped, with the reason.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.e2e.conftest import Command, left_over
from tests.federatedscope import SETTINGS, SOURCE

pytestmark = pytest.mark.skipif(not SOURCE, reason=f"no FederatedScope to run: {SETTINGS} name none")

SPEC = """\
name: torch
seed: 3
device_types:
  board: {{based_on: raspberry-pi, cpus: 1, memory_mb: {memory}, network: home}}
devices:
  - {{name: server, type: board, role: server, engine: federatedscope, overrides: {{memory_mb: 1024}}}}
  - {{name: board, type: board, count: 3, engine: federatedscope}}
network:
  profiles:
    home: {{bandwidth_up_kbps: 20000, bandwidth_down_kbps: 40000, latency_ms: 5}}
course: {{timeout: 600, silence_timeout: 30{policy}}}
data: {{dataset: digits, split: iid}}
federatedscope:
  config:
    federate: {{total_round_num: {rounds}, make_global_eval: true}}
    model: {{type: lr, out_channels: 10, task: classification}}
    criterion: {{type: CrossEntropyLoss}}
    dataloader: {{batch_size: 16}}
    train: {{local_update_steps: 2, batch_or_epoch: epoch, optimizer: {{lr: 0.1}}}}
    eval: {{freq: 1, metrics: [acc], best_res_update_round_wise_key: test_loss}}
    early_stop: {{patience: 0}}
"""
CONTINUE = ", on_client_failure: continue"


def torch_spec(folder: Path, policy: str = "", rounds: int = 200, memory: int = 512) -> str:
    """A server and three clients with torch."""
    path = folder / "torch.yaml"
    path.write_text(SPEC.format(policy=policy, rounds=rounds, memory=memory), encoding="utf-8")
    return str(path)


def report_of(tmp_path: Path, run: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((tmp_path / "runs" / run / "report.json").read_text(encoding="utf-8"))
    return loaded


@pytest.mark.parametrize(
    ("name", "rounds", "accuracy"), [("distributed-lr", 20, 0.85), ("convnet", 8, 0.8), ("mixed", 10, 0.85)]
)
def test_the_examples(
    name: str, rounds: int, accuracy: float, engine: docker.DockerClient, repository: Path, tmp_path: Path
) -> None:
    command = Command([str(repository / f"examples/{name}.yaml"), "--run", name], tmp_path)
    assert command.finish() == 0, command.output
    report = report_of(tmp_path, name)
    assert report["status"] == "finished"
    assert [entry["round"] for entry in report["rounds"]] == list(range(1, rounds + 1))
    assert report["final"]["test_acc"] > accuracy
    folder = tmp_path / "runs" / name
    for device, entry in report["devices"].items():
        assert entry["exit_code"] == 0, device
        assert 0 < entry["memory_peak_bytes"] <= entry["memory_limit_bytes"], device
        assert (folder / "collected" / device / "course" / "exp_print.log").stat().st_size > 0
    with (folder / "device_rounds.csv").open(encoding="utf-8", newline="") as stream:
        trained = {
            (row["device"], row["round"]) for row in csv.DictReader(stream) if float(row["compute_seconds"] or 0) > 0
        }
    clients = [device for device, entry in report["devices"].items() if entry["role"] == "client"]
    assert trained == {(client, str(number)) for client in clients for number in range(1, rounds + 1)}
    assert "<svg" in (folder / "report.html").read_text(encoding="utf-8")
    assert left_over(engine, name) == []


def test_a_killed_client_ends_the_course_with_its_name(engine: docker.DockerClient, tmp_path: Path) -> None:
    command = Command([torch_spec(tmp_path), "--run", "torch-killed"], tmp_path)
    command.wait_for("round 2")
    engine.containers.get("fedsim-torch-killed-board-2").kill("SIGKILL")
    killed = time.monotonic()
    assert command.finish() == 5, command.output
    assert time.monotonic() - killed < 60
    assert "board-2" in report_of(tmp_path, "torch-killed")["reason"]
    assert left_over(engine, "torch-killed") == []


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_a_course_goes_on_without_a_lost_client(how: str, engine: docker.DockerClient, tmp_path: Path) -> None:
    run = f"torch-{how}-on"
    command = Command([torch_spec(tmp_path, CONTINUE, rounds=30), "--run", run], tmp_path)
    command.wait_for("round 2")
    container = engine.containers.get(f"fedsim-{run}-board-2")
    if how == "killed":
        container.kill("SIGKILL")
    else:
        container.reload()
        os.kill(container.attrs["State"]["Pid"], signal.SIGSTOP)
    assert command.finish() == 0, command.output
    report = report_of(tmp_path, run)
    assert report["status"] == "finished"
    assert [lost["device"] for lost in report["lost_clients"]] == ["board-2"]
    assert len(report["rounds"]) == 30
    assert report["final"]["test_acc"] > 0.85
    assert left_over(engine, run) == []


def test_a_dead_server_ends_the_course_whatever_the_policy(engine: docker.DockerClient, tmp_path: Path) -> None:
    command = Command([torch_spec(tmp_path, CONTINUE), "--run", "torch-headless"], tmp_path)
    command.wait_for("round 2")
    engine.containers.get("fedsim-torch-headless-server").kill("SIGKILL")
    killed = time.monotonic()
    assert command.finish() == 5, command.output
    assert time.monotonic() - killed < 60
    report = report_of(tmp_path, "torch-headless")
    assert "server" in report["reason"]
    assert (tmp_path / "runs/torch-headless/collected/board-1/course/exp_print.log").exists()
    assert left_over(engine, "torch-headless") == []


def test_too_little_memory_for_torch_is_named(engine: docker.DockerClient, tmp_path: Path) -> None:
    command = Command([torch_spec(tmp_path, memory=64), "--run", "torch-oom"], tmp_path)
    assert command.finish() == 5, command.output
    report = report_of(tmp_path, "torch-oom")
    assert any(entry["oom_killed"] for name, entry in report["devices"].items() if name.startswith("board"))
    assert "board-" in report["reason"]
    assert "memory" in report["reason"]
    assert left_over(engine, "torch-oom") == []
