"""Rendering: the same device file gives the same bytes, and an unchanged one is skipped."""

from __future__ import annotations

import copy
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml

from fedsim_runner.datasets import render_participants
from fedsim_runner.datasets.sources import DATASETS
from fedsim_runner.spec.schema import Dataset

REPOSITORY = Path(__file__).parents[3]
SAMPLE = REPOSITORY / "inventories" / "sample" / "device_files" / "local.json"


@pytest.fixture
def device_file() -> dict[str, Any]:
    return dict(json.loads(SAMPLE.read_text(encoding="utf-8")))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_spec_knows_the_same_data_sets() -> None:
    assert set(get_args(Dataset)) == set(DATASETS)


def test_same_device_file_same_bytes(device_file: dict[str, Any], tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert render_participants(device_file, tmp_path / name).changed
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_unchanged_is_skipped_and_damage_is_mended(device_file: dict[str, Any], tmp_path: Path) -> None:
    first = render_participants(device_file, tmp_path)
    before = contents(tmp_path)
    again = render_participants(device_file, tmp_path)
    assert (again.changed, again.labels) == (False, first.labels)
    (tmp_path / "iot-minimal" / "shard.npz").write_bytes(b"cut")
    (tmp_path / "server" / "config.yaml").unlink()
    assert render_participants(device_file, tmp_path).changed
    assert contents(tmp_path) == before


def test_skipping_does_not_import_scikit_learn(device_file: dict[str, Any], tmp_path: Path) -> None:
    render_participants(device_file, tmp_path)
    program = (
        "import json, pathlib, sys; from fedsim_runner.datasets import render_participants;"
        "render_participants(json.loads(pathlib.Path(sys.argv[1]).read_text()), pathlib.Path(sys.argv[2]));"
        "sys.exit('sklearn' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(SAMPLE), str(tmp_path)], check=True, cwd=REPOSITORY)


def test_changed_data_is_rendered_again(device_file: dict[str, Any], tmp_path: Path) -> None:
    first = render_participants(device_file, tmp_path)
    other = copy.deepcopy(device_file)
    other["data"]["alpha"] = 5.0
    second = render_participants(other, tmp_path)
    assert second.changed
    assert second.labels != first.labels


def test_shards_and_labels(device_file: dict[str, Any], tmp_path: Path) -> None:
    labels = render_participants(device_file, tmp_path).labels
    total = 0
    for client in device_file["clients"]:
        shard = np.load(io.BytesIO((tmp_path / client / "shard.npz").read_bytes()), allow_pickle=False)
        assert set(shard) == {f"{split}_{part}" for split in ("train", "val", "test") for part in "xy"}
        assert shard["train_x"].dtype == np.float32
        assert shard["train_x"].shape[1] == 64
        assert 0 <= shard["train_x"].min() <= shard["train_x"].max() <= 1
        own = sum(len(shard[f"{split}_y"]) for split in ("train", "val", "test"))
        assert own == sum(labels[client].values())
        total += own
    server = np.load(tmp_path / "server" / "shard.npz", allow_pickle=False)
    assert set(server) == {"test_x", "test_y"}
    assert total + len(server["test_y"]) == 1797


def test_a_client_gets_the_same_shard_on_any_lab_host(device_file: dict[str, Any], tmp_path: Path) -> None:
    render_participants(device_file, tmp_path / "all")
    part = copy.deepcopy(device_file)
    part["devices"] = [device for device in part["devices"] if device["name"] == "raspberry-pi"]
    render_participants(part, tmp_path / "part")
    shards = [tmp_path / name / "raspberry-pi" / "shard.npz" for name in ("all", "part")]
    assert shards[0].read_bytes() == shards[1].read_bytes()
    assert not (tmp_path / "part" / "server").exists()


def test_the_device_has_the_last_word_in_its_config(device_file: dict[str, Any], tmp_path: Path) -> None:
    render_participants(device_file, tmp_path)
    config = yaml.safe_load((tmp_path / "raspberry-pi" / "config.yaml").read_text(encoding="utf-8"))
    assert config["distribute"]["use"] is True
    assert config["distribute"]["client_host"] == "raspberry-pi"
    assert config["federate"]["client_num"] == 4


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [("dataset", "mnist", "there are: digits"), ("test_fraction", 1.0, "test_fraction"), ("alpha", -1, "alpha")],
)
def test_mistakes(device_file: dict[str, Any], tmp_path: Path, key: str, value: Any, told: str) -> None:
    device_file["data"][key] = value
    with pytest.raises(ValueError, match=told):
        render_participants(device_file, tmp_path)
