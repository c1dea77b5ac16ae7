"""FederatedScope itself on simulated devices: the examples, and both engines in one course.

Without a configured source each test is skipped, with the reason.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import docker
import numpy as np
import pytest

from fedsim_runner.api import open_run
from tests.e2e.conftest import Command, left_over
from tests.federatedscope import SETTINGS, SOURCE

pytestmark = pytest.mark.skipif(not SOURCE, reason=f"no FederatedScope to run: {SETTINGS} name none")


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
    model = open_run(folder).model()
    assert model.rounds == rounds
    assert all(np.isfinite(value).all() for value in model.parameters.values())
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
