"""A course over links so slow that connecting to a device takes longer than gRPC waits by itself."""

from __future__ import annotations

import json
from pathlib import Path

import docker

from tests.e2e.conftest import Command, left_over

SPEC = """\
name: slow-links
devices:
  - {name: server, type: edge-server, role: server, overrides: {cpus: 0.5, gpus: 0, memory_mb: 512}}
  - {name: deep, type: iot-minimal, network: {latency_ms: 1500}}
  - {name: thin, type: iot-minimal, network: {bandwidth_up_kbps: 8, bandwidth_down_kbps: 8}}
data: {dataset: digits}
course: {timeout: 200}
federatedscope:
  config:
    federate: {total_round_num: 1, make_global_eval: true}
    model: {type: lr, out_channels: 10, task: classification}
    criterion: {type: CrossEntropyLoss}
    train: {batch_or_epoch: epoch, local_update_steps: 1, optimizer: {lr: 0.1}}
    eval: {freq: 1, metrics: [acc], best_res_update_round_wise_key: test_loss}
"""


def test_seconds_of_latency_and_eight_kbit_a_second(engine: docker.DockerClient, tmp_path: Path) -> None:
    (tmp_path / "slow.yaml").write_text(SPEC, encoding="utf-8")
    command = Command(["slow.yaml", "--run", "slow-links"], tmp_path)
    assert command.finish() == 0, command.output
    report = json.loads((tmp_path / "runs" / "slow-links" / "report.json").read_text(encoding="utf-8"))
    assert report["status"] == "finished"
    assert {name: device["exit_code"] for name, device in report["devices"].items()} == dict.fromkeys(
        ("server", "deep", "thin"), 0
    )
    assert left_over(engine, "slow-links") == []
