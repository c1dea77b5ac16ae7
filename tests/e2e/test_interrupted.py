"""Ctrl-C and a killed control node, in every stage: nothing with the run's label is left."""

from __future__ import annotations

import shutil
from pathlib import Path

import docker
import pytest

from tests.e2e.conftest import Command, left_over, small_spec

STAGES = ("lab host", "images", "participants", "network", "agent", "devices", "links", "course", "collect")


@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c_tears_down(stage: str, engine: docker.DockerClient, tmp_path: Path) -> None:
    run = f"ctrl-c-{stage.replace(' ', '-')}"
    command = Command([str(small_spec(tmp_path, "small", rounds=30)), "--run", run], tmp_path)
    command.wait_for(f"{stage} ...")
    command.interrupt()
    assert command.finish() == 130, command.output
    assert "Traceback" not in command.output
    assert left_over(engine, run) == []


@pytest.mark.parametrize("stage", STAGES)
def test_down_finds_a_run_whose_control_node_was_killed(
    stage: str, engine: docker.DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = f"killed-{stage.replace(' ', '-')}"
    command = Command([str(small_spec(tmp_path, "small", rounds=30)), "--run", run], tmp_path)
    command.wait_for(f"{stage} ...")
    command.kill()
    command.finish()
    if stage in ("links", "course", "collect"):  # without its run folder and without the registry
        shutil.rmtree(tmp_path / "runs")
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "empty"))
    for _ in range(2):  # twice is safe
        down = Command(["down", run], tmp_path)
        assert down.finish() == 0, down.output
        assert left_over(engine, run) == []


def test_a_second_ctrl_c_says_how_to_finish(engine: docker.DockerClient, tmp_path: Path) -> None:
    run = "ctrl-c-twice"
    command = Command([str(small_spec(tmp_path, "small", rounds=30)), "--run", run], tmp_path)
    command.wait_for("course ...")
    command.interrupt()
    command.wait_for("teardown ...")
    command.interrupt()
    code = command.finish()
    try:
        assert code == 130, command.output
        assert f"fedsim-provision down {run}" in command.output
    finally:
        assert Command(["down", run], tmp_path).finish() == 0
    assert left_over(engine, run) == []
