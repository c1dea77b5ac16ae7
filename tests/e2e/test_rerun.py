"""A run is repeated from its folder alone, on this machine's real Engine."""

from __future__ import annotations

import json
from pathlib import Path

import docker
import numpy as np

from fedsim_runner.api import open_run, save_model
from tests.e2e.conftest import Command, left_over, small_spec


def test_a_moved_run_is_repeated_without_its_files_its_data_and_its_dockerfile(
    engine: docker.DockerClient, repository: Path, tmp_path: Path
) -> None:
    first = tmp_path / "first"
    first.mkdir()
    own = first / "own-mote"
    own.mkdir()
    (own / "Dockerfile").write_text(
        (repository / "dockerfiles" / "iot-minimal" / "Dockerfile").read_text(encoding="utf-8"), encoding="utf-8"
    )
    spec = small_spec(first, "again", rounds=2)
    text = spec.read_text(encoding="utf-8").replace(
        "based_on: iot-minimal,", "based_on: iot-minimal, dockerfile: ./own-mote,"
    )
    text = text.replace("total_round_num: 2", "total_round_num: 2, restore_from: start.pt")
    start = save_model(first / "start.pt", {"fc.weight": np.zeros((10, 64)), "fc.bias": np.ones(10)}, rounds=3)
    spec.write_text(text, encoding="utf-8")
    command = Command([str(spec), "--run", "again"], first)
    assert command.finish() == 0, command.output
    moved = tmp_path / "elsewhere" / "kept"
    moved.parent.mkdir()
    (first / "runs" / "again").rename(moved)
    for path in (spec, own / "Dockerfile", start):
        path.unlink()
    own.rmdir()

    refused = Command(["rerun", str(moved), "--run", "again-2"], tmp_path)
    assert refused.finish() == 2, refused.output
    assert "inputs/dockerfiles/own-mote/Dockerfile" in refused.output
    assert not (tmp_path / "runs").exists()

    second = Command(["rerun", str(moved), "--run", "again-2", "--trust"], tmp_path)
    assert second.finish() == 0, second.output
    assert left_over(engine, "again-2") == []
    folder = tmp_path / "runs" / "again-2"
    before, now = (json.loads((path / "manifest.json").read_text(encoding="utf-8")) for path in (moved, folder))
    assert now["repeats"] == "again"
    for key in ("spec_sha256", "inputs_sha256", "cpu_factor", "link_backend", "images", "seed"):
        assert now[key] == before[key], key
    assert any(image.startswith("fedsim/own-mote-light:") for image in now["images"])
    assert all(("numpy" in image["packages"]) is ("/agent:" not in name) for name, image in now["images"].items())
    for path in (moved, folder):
        assert "starts with the model in /fedsim/in/initial_model.pt, saved after 3 rounds" in open_run(path).log(
            "server"
        )
    rounds = now["repetition"]["rounds"]
    assert (rounds["compared"], rounds["equal"]) == (2, 2), second.output
    assert "compared with again: the accuracy is equal to the last digit in all 2 rounds" in second.output

    third = Command(["rerun", str(folder), "--no-docker", "--run", "again-3"], tmp_path)
    assert third.finish() == 0, third.output
    assert "mode: docker, now processes" in third.output
