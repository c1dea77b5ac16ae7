"""Devices that come and go: one that is offline at the beginning, and one that is offline for a while."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import docker

from tests.e2e.conftest import Command, left_over

SPEC = """
name: availability
seed: 3
cpu_factor: 0.02
devices:
  - {name: server, type: edge-server, role: server}
  - {name: here, type: smartphone-high}
  - {name: late, type: smartphone-high, available: [[5, 300]]}
  - {name: away, type: smartphone-high, available: [[0, 3], [7, 300]]}
network: {verify: "off"}
course: {timeout: 300}
federatedscope:
  config:
    federate: {total_round_num: 50, make_global_eval: true}
    model: {type: lr, out_channels: 10, task: classification}
    criterion: {type: CrossEntropyLoss}
    dataloader: {batch_size: 8}
    train: {batch_or_epoch: epoch, local_update_steps: 60, optimizer: {lr: 0.05}}
    eval: {metrics: [acc], best_res_update_round_wise_key: test_loss}
"""


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_devices_take_part_while_they_are_online(engine: docker.DockerClient, tmp_path: Path) -> None:
    spec = tmp_path / "availability.yaml"
    spec.write_text(SPEC, encoding="utf-8")
    command = Command([str(spec), "--run", "availability"], tmp_path)
    assert command.finish() == 0, command.output
    folder = tmp_path / "runs" / "availability"
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["status"] == "finished" and len(report["rounds"]) == 50
    assert report["lost_clients"] == []
    journal = lines(folder / "journal.jsonl")
    gate = next(event["open_at"] for event in journal if event["event"] == "gate_opened")
    joined = [(event["device"], event["client_id"]) for event in journal if event["event"] == "device_joined"]
    assert sorted(name for name, _ in joined) == ["away", "here", "late"], "each once: it keeps its id"
    ids = dict(joined)

    def times(what: str, name: str) -> list[float]:
        steps = lines(folder / "collected" / "server" / "course" / "activity.jsonl")
        own = (what, "model_para", ids[name])
        return [step["t"] - gate for step in steps if (step["what"], step.get("kind"), step.get("peer")) == own]

    assert min(times("send", "late")) > 4.9, "not asked before it is online"
    assert min(times("send", "here")) < 4.9, "the others do not wait for it"
    assert not [at for at in times("received", "away") if 3.1 < at < 7], "its link is cut"
    assert not [at for at in times("send", "away") if 4 < at < 6.9], "and it is not asked"
    assert [at for at in times("received", "away") if at < 3.1]
    assert len([at for at in times("received", "away") if at > 7]) > 1, "it takes part again"
    assert [(row["devices"], row["state"]) for row in report["events"]] == [("late", "ended"), ("away", "ended")]
    assert left_over(engine, "availability") == []
