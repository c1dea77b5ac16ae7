"""What happens when a device or the disk fails, as docs/failures.md promises. Real containers, engine light."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.e2e.conftest import STATE_ROOT, Command, left_over, small_spec

SILENCE_S = 8
# Allocates memory until the kernel kills a process: the participant, which is marked as the first to kill.
HOG = "blocks = []\nwhile True: blocks.append(b'x' * 1_000_000)"


def spec_of(folder: Path, rounds: int, clients: int = 2, policy: str = "") -> Path:
    """A course on slow links that goes on for a while."""
    path = small_spec(folder, "small", rounds=rounds, silence=SILENCE_S)
    text = path.read_text(encoding="utf-8")
    assert "count: 2" in text and f"silence_timeout: {SILENCE_S}" in text
    text = text.replace("count: 2", f"count: {clients}")
    path.write_text(text.replace("course: {", f"course: {{{policy}"), encoding="utf-8")
    return path


CONTINUE = "on_client_failure: continue, "


class Run:
    """A run of the command, and its containers."""

    def __init__(self, client: docker.DockerClient, folder: Path, run: str, spec: Path, *arguments: str) -> None:
        self._client = client
        self.run = run
        self.folder = folder / "runs" / run
        self.command = Command([str(spec), "--run", run, *arguments], folder)

    def container(self, device: str) -> Any:
        return self._client.containers.get(f"fedsim-{self.run}-{device}")

    def pid(self, device: str) -> int:
        pid: int = self.container(device).attrs["State"]["Pid"]
        assert pid > 0, f"{device} does not run (any more):\n{self.command.output}"
        return pid

    def freeze(self, device: str) -> None:
        """Send SIGSTOP to its process: its connections stay, and the Engine does not notice."""
        os.kill(self.pid(device), signal.SIGSTOP)

    def out_of_memory(self, device: str) -> None:
        Path(f"/proc/{self.pid(device)}/oom_score_adj").write_text("1000")
        self.container(device).exec_run(["python3", "-c", HOG], detach=True)

    @property
    def report(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
        return loaded

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = (self.folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def collected(self, device: str) -> bool:
        """Whether its log, its activity and its console were collected."""
        out = self.folder / "collected" / device
        files = ("course/exp_print.log", "course/activity.jsonl", "console.log")
        return all((out / name).exists() for name in files)


def test_a_course_goes_on_without_clients_that_are_killed_frozen_or_out_of_memory(
    engine: docker.DockerClient, tmp_path: Path
) -> None:
    run = Run(engine, tmp_path, "going-on", spec_of(tmp_path, 40, 5, CONTINUE))
    run.command.wait_for("round 2/")
    run.freeze("mote-3")  # the round cannot end until it is lost
    run.container("mote-4").pause()
    run.container("mote-1").kill("SIGKILL")
    run.out_of_memory("mote-2")
    for device in ("mote-1", "mote-2", "mote-3", "mote-4"):
        run.command.wait_for(f"{device} is lost", SILENCE_S + 20)
    assert run.command.finish() == 0, run.command.output
    lost = {event["device"]: event for event in run.events("client_lost")}
    assert set(lost) == {"mote-1", "mote-2", "mote-3", "mote-4"}
    assert "SIGKILL" in lost["mote-1"]["reason"]
    assert lost["mote-2"]["oom_killed"] and "memory limit" in lost["mote-2"]["reason"]
    assert "frozen" in lost["mote-3"]["reason"] and "frozen" in lost["mote-4"]["reason"]
    assert lost["mote-3"]["last_lines"]
    report = run.report
    assert report["status"] == "finished"
    assert {entry["device"] for entry in report["lost_clients"]} == set(lost)
    assert len(report["rounds"]) == 40
    assert report["final"]["test_acc"] > 0.8
    assert all(run.collected(name) for name in ("server", *lost, "mote-5"))
    # The agent ended the frozen ones, and they did not wake up.
    exits = {event["device"]: event["exit_code"] for event in run.events("device_exited")}
    assert exits["mote-3"] == exits["mote-4"] == 137
    assert left_over(engine, run.run) == []


def test_a_client_frozen_by_a_signal_ends_the_course_by_default(engine: docker.DockerClient, tmp_path: Path) -> None:
    run = Run(engine, tmp_path, "stopped", spec_of(tmp_path, 200))
    run.command.wait_for("round 2/")
    run.freeze("mote-2")
    began = time.monotonic()
    assert run.command.finish() == 5, run.command.output
    assert time.monotonic() - began < SILENCE_S + 40
    assert "mote-2 is frozen" in run.report["reason"]
    assert all(run.collected(name) for name in ("server", "mote-1", "mote-2"))
    assert left_over(engine, run.run) == []


def test_a_client_out_of_memory_ends_the_course_by_default(engine: docker.DockerClient, tmp_path: Path) -> None:
    run = Run(engine, tmp_path, "no-memory", spec_of(tmp_path, 200))
    run.command.wait_for("round 2/")
    run.out_of_memory("mote-1")
    assert run.command.finish() == 5, run.command.output
    (failed,) = run.events("course_failed")
    assert failed["device"] == "mote-1"
    assert "killed for lack of memory" in run.report["reason"]
    assert all(run.collected(name) for name in ("server", "mote-1", "mote-2"))
    assert left_over(engine, run.run) == []


def test_training_that_takes_longer_than_the_silence_timeout_is_not_silence(
    engine: docker.DockerClient, tmp_path: Path
) -> None:
    """The containers' processor time shows that they work."""
    silence_s = 3
    path = small_spec(tmp_path, "small", rounds=1, silence=silence_s)
    text = path.read_text(encoding="utf-8")
    assert "cpus: 0.5" in text and "local_update_steps: 1," in text
    text = text.replace("cpus: 0.5", "cpus: 0.2").replace("local_update_steps: 1,", "local_update_steps: 2000,")
    path.write_text(text, encoding="utf-8")
    run = Run(engine, tmp_path, "slow-training", path)
    assert run.command.finish() == 0, run.command.output
    steps = (run.folder / "collected/mote-1/course/activity.jsonl").read_text(encoding="utf-8").splitlines()
    times = {step["what"]: step["t"] for step in map(json.loads, steps)}
    assert times["trained"] - times["train"] > 2 * silence_s
    assert left_over(engine, run.run) == []


@pytest.mark.parametrize("victim", ["server", "mote-2"])
def test_what_ends_a_course_that_goes_on_without_clients(
    victim: str, engine: docker.DockerClient, tmp_path: Path
) -> None:
    """Losing the server, or one client more than ``min_clients`` allows."""
    run = Run(engine, tmp_path, f"needed-{victim}", spec_of(tmp_path, 200, 2, CONTINUE + "min_clients: 2, "))
    run.command.wait_for("round 2/")
    run.container(victim).kill("SIGKILL")
    assert run.command.finish() == 5, run.command.output
    (failed,) = run.events("course_failed")
    assert failed["device"] == victim
    assert ("course.min_clients is 2" in failed["reason"]) == (victim == "mote-2")
    assert all(run.collected(name) for name in ("server", "mote-1", "mote-2"))
    assert left_over(engine, run.run) == []


@contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[None]:
    folder.mkdir(parents=True)
    subprocess.run(["mount", *arguments, str(folder)], check=True)
    try:
        yield
    finally:
        # Lazily: the agent of the kept run has open files there.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path, user: int) -> None:
    """Write until the disk is full."""
    script = f"import os\nos.setgid({user}); os.setuid({user})\nf = open({str(path)!r}, 'wb', 0)\n"
    script += "for size in (1 << 20, 1 << 12, 1):\n    try:\n        while True: f.write(bytes(size))\n"
    script += "    except OSError: pass\n"
    subprocess.run(["python3", "-c", script], check=True)


def test_a_full_disk_under_the_devices_is_named(engine: docker.DockerClient, tmp_path: Path) -> None:
    """A small disk with a part that is reserved for root, and so for the agent."""
    name = "full-devices"
    image = tmp_path / "disk"
    image.write_bytes(b"")
    os.truncate(image, 48 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "30", str(image)], check=True)
    try:
        with mounted(STATE_ROOT / name, "-o", "loop", str(image)):
            run = Run(engine, tmp_path, name, spec_of(tmp_path, 200), "--keep")
            run.command.wait_for("round 2/")
            fill(STATE_ROOT / name / "devices" / "mote-1" / "out" / "filler", 10001)
            assert run.command.finish() == 5, run.command.output
            assert "No space left on device" in run.report["reason"]
            assert all(run.collected(device) for device in ("server", "mote-1", "mote-2"))
    finally:
        assert Command(["down", name], tmp_path).finish() == 0
    assert left_over(engine, name) == []


def test_a_full_disk_under_the_journal_is_named(engine: docker.DockerClient, tmp_path: Path) -> None:
    name = "full-journal"
    try:
        with mounted(STATE_ROOT / name / "agent", "-t", "tmpfs", "-o", "size=4m", "fedsim-test"):
            run = Run(engine, tmp_path, name, spec_of(tmp_path, 200), "--keep")
            run.command.wait_for("round 2/")
            fill(STATE_ROOT / name / "agent" / "filler", 0)
            assert run.command.finish() == 5, run.command.output
            assert run.report["reason"] == f"no space left on {STATE_ROOT / name}/agent/journal.jsonl"
            assert all(run.collected(device) for device in ("server", "mote-1", "mote-2"))
    finally:
        assert Command(["down", name], tmp_path).finish() == 0
    assert left_over(engine, name) == []
