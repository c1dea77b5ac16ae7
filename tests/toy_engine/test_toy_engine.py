"""An engine of another package runs courses without changes to fedsim-runner: in processes and in containers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import docker
import pytest

from fedsim_runner.contract.paths import STATE_ROOT, StateFolder

HERE = Path(__file__).parent
ROUNDS = 4
SPEC = """\
name: toy
devices:
  - {{type: edge-server, role: server, name: hub, engine: toy}}
  - {{type: iot-minimal, name: mote, count: 3, engine: toy}}
course: {{timeout: 120, silence_timeout: 60, on_client_failure: continue}}
federatedscope:
  config:
    federate: {{total_round_num: {rounds}}}
    toy: {{{toy}}}
"""


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The environment of a user who has installed the toy: its files and its metadata are on the path."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    metadata = tmp_path / "site" / "fedsim_toy-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0\n")
    lines = [
        line
        for group, points in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    path = os.pathsep.join([str(HERE), str(tmp_path / "site")])
    return {**os.environ, "PYTHONPATH": path, "XDG_STATE_HOME": str(tmp_path / "state")}


def spec(folder: Path, toy: str = "", rounds: int = ROUNDS) -> Path:
    path = folder / "toy.yaml"
    path.write_text(SPEC.format(toy=toy, rounds=rounds), encoding="utf-8")
    return path


def start(folder: Path, variables: dict[str, str], *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fedsim_runner", "run", "toy.yaml", "--run", "toy-engine", *options]
    return subprocess.Popen(
        command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def report_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "runs" / "toy-engine" / "report.json").read_text(encoding="utf-8")))


def number(device: str) -> float:
    return float(sum(device.encode()) % 100)


def mean_after(rounds: int, *devices: str) -> float:
    """The mean that the participants arrive at."""
    mean = 0.0
    for _ in range(rounds):
        mean = sum((mean + number(device)) / 2 for device in devices) / len(devices)
    return mean


@pytest.mark.process
def test_in_processes(installed: dict[str, str], tmp_path: Path) -> None:
    spec(tmp_path)
    process = start(tmp_path, installed, "--no-docker")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    report = report_of(tmp_path)
    assert report["status"] == "finished"
    assert [one["round"] for one in report["rounds"]] == [1, 2, 3, 4]
    expected = 100 - mean_after(ROUNDS, "mote-1", "mote-2", "mote-3")
    assert report["rounds"][-1]["test_loss"] == pytest.approx(expected)


@pytest.mark.process
def test_a_lost_client_in_processes(installed: dict[str, str], tmp_path: Path) -> None:
    spec(tmp_path, "dies: mote-2")
    process = start(tmp_path, installed, "--no-docker")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    report = report_of(tmp_path)
    assert report["status"] == "finished"
    assert [one["round"] for one in report["rounds"]] == [1, 2, 3, 4]
    assert {name for name, one in report["devices"].items() if one.get("lost")} == {"mote-2"}, output


@pytest.mark.process
def test_its_refusal_names_the_line(installed: dict[str, str], tmp_path: Path) -> None:
    spec(tmp_path, "pause_s: -1")
    process = start(tmp_path, installed, "--no-docker")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "toy.yaml:9: federatedscope.config.toy.pause_s: must be a number of seconds" in " ".join(output.split())


@pytest.mark.docker
def test_in_containers_with_a_lost_client(installed: dict[str, str], tmp_path: Path) -> None:
    spec(tmp_path, "pause_s: 1", rounds=10)
    process = start(tmp_path, installed)
    try:
        journal = StateFolder(STATE_ROOT / "toy-engine").journal
        end = time.monotonic() + 400
        while not (journal.exists() and '"round_started"' in journal.read_text(encoding="utf-8")):
            assert process.poll() is None and time.monotonic() < end, process.communicate()[0]
            time.sleep(0.2)
        # Only now: the command starts an Engine if none runs.
        client = docker.from_env(timeout=60)
        client.containers.get("fedsim-toy-engine.mote-3").kill()
        client.close()
        output, _ = process.communicate(timeout=200)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 0, output
    report = report_of(tmp_path)
    assert [one["round"] for one in report["rounds"]] == list(range(1, 11))
    assert {name for name, one in report["devices"].items() if one.get("lost")} == {"mote-3"}, output
    image = json.loads((tmp_path / "runs" / "toy-engine" / "manifest.json").read_text(encoding="utf-8"))["images"]
    assert any("iot-minimal-toy" in name for name in image), image
