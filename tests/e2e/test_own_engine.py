"""Runs on an Engine that DOCKER_HOST names: nothing on the other one, restarts, and folders that it does not see."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from .conftest import STATE_ROOT, Command, left_over, small_spec
from .own_engine import OwnEngine, own_engine

# Between the end of the Engine and its new start.
AWAY_S = 3


@pytest.fixture(scope="module")
def own() -> Iterator[OwnEngine]:
    """An Engine of our own, on a lab host that forwards nothing and has its firewall look at bridges."""
    with own_engine() as made:
        made.run("iptables", "-P", "FORWARD", "DROP")
        made.run("sh", "-c", "echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables")
        made.start()
        yield made


def say(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fedsim_runner", *arguments], cwd=cwd, capture_output=True, text=True, timeout=120
    )


def test_a_run_rides_out_a_restart_with_live_restore_and_names_one_without(
    own: OwnEngine, engine: docker.DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", own.url)
    command = Command([str(small_spec(tmp_path, "restarted", rounds=400)), "--run", "restarted"], tmp_path)
    command.wait_for("round 2/")
    assert left_over(own.client(), "restarted") != []
    assert left_over(engine, "restarted") == [str(STATE_ROOT / "restarted")]
    monkeypatch.delenv("DOCKER_HOST")
    for verb in ("status", "logs"):
        refused = say(verb, "restarted", cwd=tmp_path)
        assert refused.returncode == 3, refused.stderr
        assert f"run restarted is on the Docker Engine at {own.url}, and this command works with" in refused.stderr
    monkeypatch.setenv("DOCKER_HOST", own.url)

    own.keep_containers(True)
    own.stop()
    time.sleep(AWAY_S)
    own.start()
    rounds = sum("round " in line for line in command.lines)
    command.wait_for(f"round {rounds + 5}/")
    shown = say("status", "restarted", cwd=tmp_path)
    assert "restarted   round " in shown.stdout, shown.stdout + shown.stderr

    own.keep_containers(False)
    own.stop()
    time.sleep(AWAY_S)
    own.start()
    assert command.finish() == 5, command.output
    assert "the Docker Engine was stopped or restarted during the course" in command.output
    assert "has no attribute" not in command.output
    assert left_over(own.client(), "restarted") == []


def test_an_engine_that_does_not_see_the_state_folder_is_named_before_anything_is_made(
    own: OwnEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", own.url)
    STATE_ROOT.mkdir(exist_ok=True)
    own.run("mount", "-t", "tmpfs", "none", str(STATE_ROOT))
    try:
        shown = say("doctor", cwd=tmp_path)
        done = say("up", str(small_spec(tmp_path, "unseen")), "--run", "unseen", cwd=tmp_path)
    finally:
        own.run("umount", str(STATE_ROOT))
    for answer in (shown, done):
        assert answer.returncode == 3, answer.stdout + answer.stderr
        said = " ".join((answer.stdout + answer.stderr).split())
        assert f"the Docker Engine does not see this machine's folder {STATE_ROOT}" in said
    assert left_over(own.client(), "unseen") == []
