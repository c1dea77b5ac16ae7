"""A course without Docker: real processes on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.contract.claim import RUN_VARIABLE
from fedsim_runner.engines.engine_values import Interpreter
from fedsim_runner.engines.federatedscope.interpreter import missing_modules
from fedsim_runner.inventory import build_inventory
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.testbed.orphans import processes_with
from fedsim_runner.testbed.processes.children import process_figures
from fedsim_runner.testbed.processes.loopback import free_ports, local_device_file
from tests.builders import experiment, lab_host

pytestmark = pytest.mark.course

FEDERATEDSCOPE = """\
name: fs
devices:
  - {name: server, type: edge-server, role: server, engine: federatedscope}
  - {name: phone, type: smartphone-low, count: 2, engine: federatedscope}
data: {dataset: digits, split: iid}
federatedscope:
  config:
    federate: {total_round_num: 3}
    model: {type: lr, out_channels: 10, task: classification}
    criterion: {type: CrossEntropyLoss}
    dataloader: {batch_size: 16}
    train: {local_update_steps: 1, batch_or_epoch: epoch, optimizer: {lr: 0.1}}
    eval: {freq: 1, metrics: [acc], best_res_update_round_wise_key: test_loss}
"""


class Command:
    """A running ``fedsim-provision --no-docker``; a test can wait for its output lines."""

    def __init__(self, folder: Path, spec: Path, *arguments: str) -> None:
        self.run = f"local-{os.getpid()}-{folder.name}".lower().replace("_", "-")[:60]
        self.folder = folder / "runs" / self.run
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fedsim_runner", str(spec), "--no-docker", "--run", self.run, *arguments],
            cwd=folder,
            env={**os.environ, "XDG_STATE_HOME": str(folder / "state"), "DOCKER_HOST": f"unix://{folder}/none"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + 60
        while not any(text in line for line in list(self.lines)):
            if self.process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"{text!r} was not printed:\n{self.output}")
            time.sleep(0.02)

    def finish(self) -> int:
        code = self.process.wait(90)
        self._reader.join(10)
        return code

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    @property
    def report(self) -> dict[str, object]:
        loaded: dict[str, object] = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
        return loaded

    def participants(self) -> dict[str, int]:
        """Pids of the participants by name of their folder."""
        found = {}
        for pid, _ in processes_with(RUN_VARIABLE, self.run):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if "--out" in words:
                found[Path(words[words.index("--out") + 1]).name] = pid
        return found

    def gone(self) -> bool:
        """Whether no participant is left, after waiting a moment."""
        end = time.monotonic() + 5
        while self.participants() and time.monotonic() < end:
            time.sleep(0.05)
        return not self.participants()


@pytest.fixture
def spec(repository: Path, tmp_path: Path) -> Path:
    """The quickstart, with enough rounds to be disturbed."""
    text = (repository / "examples" / "quickstart.yaml").read_text(encoding="utf-8")
    assert "total_round_num: 10" in text
    path = tmp_path / "long.yaml"
    path.write_text(text.replace("total_round_num: 10", "total_round_num: 5000"), encoding="utf-8")
    return path


@pytest.fixture
def started(spec: Path, tmp_path: Path) -> Iterator[Command]:
    command = Command(tmp_path, spec)
    command.wait_for("round 2/")
    yield command
    if command.process.poll() is None:
        command.process.kill()
        command.process.wait()


def check_tables(report: dict[str, Any]) -> None:
    """What a paper needs is in the tables: each client's results, costs, participation, the lab host."""
    clients = [entry for entry in report["devices"].values() if entry["role"] == "client"]
    assert len(report["client_results"]) == len(report["rounds"]) * len(clients)
    assert all(entry["participation_share"] == 1.0 and entry["mean_staleness"] == 0.0 for entry in clients)
    assert all(entry["updates"] == len(clients) for entry in report["rounds"])
    assert report["fairness"]["clients_evaluated"] == len(clients)
    assert report["targets"][-1]["message_bytes"] > 0 and report["targets"][-1]["device_seconds"] > 0
    assert report["hosts"][0]["cpus"] >= 1


def test_the_quickstart_finishes_with_a_report(repository: Path, tmp_path: Path) -> None:
    command = Command(tmp_path, repository / "examples" / "quickstart.yaml")
    assert command.finish() == 0, command.output
    report = command.report
    assert report["status"] == "finished"
    assert len(report["rounds"]) == 10
    assert report["final"]["test_acc"] > 0.85
    assert "no limits" in command.output
    for name in ("experiment.yaml", "manifest.json", "journal.jsonl", "metrics.csv", "rounds.csv", "devices.csv"):
        assert (command.folder / name).stat().st_size > 0
    check_tables(report)
    assert command.gone()


def test_ctrl_c_ends_all_participants(started: Command) -> None:
    assert len(started.participants()) == 5
    os.killpg(started.process.pid, signal.SIGINT)
    assert started.finish() == 130, started.output
    assert started.gone()
    assert started.report["status"] == "interrupted"
    assert "Traceback" not in started.output


def test_participants_die_with_a_killed_control_node(started: Command) -> None:
    started.process.kill()
    started.finish()
    assert started.gone()


def test_a_killed_participant_ends_the_course_with_its_name(started: Command) -> None:
    os.kill(started.participants()["raspberry-pi"], signal.SIGKILL)
    assert started.finish() == 5, started.output
    assert "raspberry-pi" in str(started.report["reason"])
    assert "SIGKILL" in str(started.report["reason"])
    assert started.gone()


def test_the_device_file_is_for_loopback(tmp_path: Path) -> None:
    plan = make_plan(experiment(clients=3), [lab_host("processes")], "r")
    content = build_inventory(plan).device_files["processes"].as_dict()
    local = local_device_file(content, tmp_path)
    ports = [device["port"] for device in local["devices"]]
    assert len(set(ports)) == 4
    for device in local["devices"]:
        assert device["config"]["distribute"]["server_port"] == ports[0]
        assert device["config"]["distribute"]["server_host"] == "127.0.0.1"
        assert device["memory_bytes"] is None
    assert content["devices"][0]["address"].startswith("198.18.")


def test_ports_are_free_and_different() -> None:
    assert len(set(free_ports(50))) == 50


@pytest.mark.parametrize(("number", "words"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGSTOP, "frozen")])
def test_a_lost_client_need_not_end_the_course(number: signal.Signals, words: str, spec: Path, tmp_path: Path) -> None:
    text = spec.read_text(encoding="utf-8").replace("total_round_num: 5000", "total_round_num: 300")
    assert "silence_timeout: 120" in text
    text = text.replace("silence_timeout: 120", "silence_timeout: 5\n  on_client_failure: continue")
    spec.write_text(text, encoding="utf-8")
    command = Command(tmp_path, spec)
    command.wait_for("round 2/")
    os.kill(command.participants()["raspberry-pi"], number)
    assert command.finish() == 0, command.output
    events = [json.loads(line) for line in (command.folder / "journal.jsonl").read_text().splitlines()]
    (lost,) = [event for event in events if event["event"] == "client_lost"]
    assert lost["device"] == "raspberry-pi"
    assert words in lost["reason"]
    assert command.report["status"] == "finished"
    assert max(event["round"] for event in events if event["event"] == "evaluated") == 300
    assert command.gone()


def test_an_interpreter_without_federatedscope_is_refused_before_the_start(tmp_path: Path) -> None:
    missing = missing_modules(Interpreter(sys.executable))
    assert "federatedscope.core" in missing
    assert "numpy" not in missing
    spec = tmp_path / "fs.yaml"
    spec.write_text(FEDERATEDSCOPE, encoding="utf-8")
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho torch\n", encoding="utf-8")
    python.chmod(0o755)
    (tmp_path / "fedsim").mkdir()
    settings = tmp_path / "fedsim" / "config.yaml"
    for named, words in ((python, "does not find torch"), (tmp_path / "nothing", "cannot run FederatedScope: No such")):
        settings.write_text(f"federatedscope: {{python: {named}}}\n", encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "fedsim_runner", str(spec), "--no-docker", "--run", "fs"],
            cwd=tmp_path,
            env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 3, done.stdout + done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "runs").exists()


def test_figures_of_a_process() -> None:
    figures = process_figures(os.getpid())
    assert figures is not None
    assert figures["memory_peak_bytes"] >= figures["memory_bytes"] > 1_000_000
    assert process_figures(2**22 + 1) is None
