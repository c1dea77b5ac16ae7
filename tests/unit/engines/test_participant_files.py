"""Rendering: the same device file gives the same bytes, and an unchanged one is skipped."""

from __future__ import annotations

import copy
import functools
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from fedsim_runner.contract.timeline import LinkChange, TimelineEntry
from fedsim_runner.contract.typed_json import dump
from fedsim_runner.datasets import data_split
from fedsim_runner.engines.participant_files import answer_times, launch_settings, render_participants

pytestmark = pytest.mark.lengthy

REPOSITORY = Path(__file__).parents[3]
SAMPLE = REPOSITORY / "inventories" / "sample" / "device_files" / "local.json"

# Reading the digits is most of the time of a test here.
READ_ONCE = functools.cache(data_split.load_bundled)


@pytest.fixture(autouse=True)
def read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_split, "load_bundled", READ_ONCE)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_same_device_file_same_bytes(device_file: dict[str, Any], tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert render_participants(device_file, tmp_path / name).changed
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_unchanged_is_skipped_and_damage_is_repaired(device_file: dict[str, Any], tmp_path: Path) -> None:
    first = render_participants(device_file, tmp_path)
    before = contents(tmp_path)
    again = render_participants(device_file, tmp_path)
    assert (again.changed, again.labels) == (False, first.labels)
    (tmp_path / "iot-minimal" / "shard.npz").write_bytes(b"cut")
    (tmp_path / "server" / "config.yaml").unlink()
    assert render_participants(device_file, tmp_path).changed
    assert contents(tmp_path) == before


def test_participants_are_told_of_slow_links_only(device_file: dict[str, Any], tmp_path: Path) -> None:
    def answers() -> dict[str, int]:
        found = {}
        for path in tmp_path.glob("*/launcher.json"):
            settings = json.loads(path.read_text(encoding="utf-8"))
            found[settings["device"]] = settings["answer_s"]
        return found

    render_participants(device_file, tmp_path)
    assert set(answers().values()) == {0}
    clients = [device for device in device_file["devices"] if device["role"] == "client"]
    clients[0]["link"]["up"]["delay_us"] += 1_000
    assert not render_participants(device_file, tmp_path).changed
    clients[0]["link"]["up"]["delay_us"] = 5_000_000
    assert render_participants(device_file, tmp_path).changed
    found = answers()
    assert found.pop("server") == found.pop(clients[0]["name"]) >= 5
    assert set(found.values()) == {0}


def test_who_may_be_in_a_partition_is_tried_for_as_long_as_silence_is_borne(
    device_file: dict[str, Any], tmp_path: Path
) -> None:
    def parted() -> set[float]:
        render_participants(device_file, tmp_path)
        return {json.loads(path.read_text(encoding="utf-8"))["parted_s"] for path in tmp_path.glob("*/launcher.json")}

    assert parted() == {0.0}
    (client, *_) = device_file["clients"]
    device_file["timeline"] = [{"number": 1, "devices": [client], "at_s": 5.0, "action": "partition"}]
    assert parted() == {device_file["course"]["silence_timeout_s"]}


def test_a_link_that_an_event_makes_slow_counts_as_slow(device_file: dict[str, Any], tmp_path: Path) -> None:
    before = answer_times(device_file)
    name = next(device["name"] for device in device_file["devices"] if device["role"] == "client")
    far = TimelineEntry(number=1, devices=(name,), at_s=5, up=LinkChange(delay_us=5_000_000), duration_s=1)
    cut = TimelineEntry(number=2, devices=(name,), at_s=5, action="offline")
    after = answer_times({**device_file, "timeline": dump((far, cut))})
    back = replace(cut, action="kill", duration_s=2)
    for timeline, offline in (
        ((), False),
        ((far, replace(back, duration_s=None)), False),
        ((cut,), True),
        ((back,), True),
    ):
        file = {**device_file, "timeline": dump(timeline)}
        assert {one.goes_offline for one in launch_settings(file).values()} == {offline}
    assert set(before.values()) == {0}
    assert after[name] == after["server"] >= 5 and sum(after.values()) == 2 * after[name]


@pytest.mark.process
def test_skipping_does_not_import_numpy(device_file: dict[str, Any], tmp_path: Path) -> None:
    render_participants(device_file, tmp_path)
    program = (
        "import json, pathlib, sys; from fedsim_runner.engines.participant_files import render_participants;"
        "render_participants(json.loads(pathlib.Path(sys.argv[1]).read_text()), pathlib.Path(sys.argv[2]));"
        "sys.exit('numpy' in sys.modules)"
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


def test_the_devices_config_wins(device_file: dict[str, Any], tmp_path: Path) -> None:
    render_participants(device_file, tmp_path)
    config = yaml.safe_load((tmp_path / "raspberry-pi" / "config.yaml").read_text(encoding="utf-8"))
    assert config["distribute"]["use"] is True
    assert config["distribute"]["client_host"] == "raspberry-pi"
    assert config["federate"]["client_num"] == 4


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [("dataset", "mnist", "known: digits"), ("test_fraction", 1.0, "test_fraction"), ("alpha", -1, "alpha")],
)
def test_mistakes(device_file: dict[str, Any], tmp_path: Path, key: str, value: Any, expected: str) -> None:
    device_file["data"][key] = value
    with pytest.raises(ValueError, match=expected):
        render_participants(device_file, tmp_path)


def read_table(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "labels.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("split", ["iid", "dirichlet", "quantity"])
def test_the_label_table_counts_what_the_shards_hold(device_file: dict[str, Any], tmp_path: Path, split: str) -> None:
    device_file["data"]["split"] = split
    render_participants(device_file, tmp_path)
    table = read_table(tmp_path)
    assert table["classes"] == [str(digit) for digit in range(10)]
    assert list(table["devices"]) == ["server", *device_file["clients"]]
    for device, splits in table["devices"].items():
        shard = np.load(tmp_path / device / "shard.npz", allow_pickle=False)
        assert {name.removesuffix("_y") for name in shard if name.endswith("_y")} == set(splits)
        for name, counts in splits.items():
            labels, numbers = np.unique(shard[f"{name}_y"], return_counts=True)
            assert counts == {str(label): number for label, number in zip(labels, numbers.tolist(), strict=True)}
    assert table["sizes"] == {
        device: {name: sum(counts.values()) for name, counts in splits.items()}
        for device, splits in table["devices"].items()
    }
    assert table["alpha"] == (None if split == "iid" else device_file["data"]["alpha"])


def test_every_lab_host_writes_the_same_table(device_file: dict[str, Any], tmp_path: Path) -> None:
    render_participants(device_file, tmp_path / "all")
    for lab_host, number in (("one", 0), ("two", 1)):
        part = copy.deepcopy(device_file)
        part["lab_host"] = lab_host
        part["devices"] = part["devices"][number::2]
        render_participants(part, tmp_path / "parts")
        table = (tmp_path / "parts" / "labels.json").read_bytes()
        assert table == (tmp_path / "all" / "labels.json").read_bytes()
    assert not render_participants(part, tmp_path / "parts").changed


@pytest.mark.parametrize(("layout", "shape"), [("flat", (64,)), ("image", (1, 8, 8))])
def test_layout(device_file: dict[str, Any], tmp_path: Path, layout: str, shape: tuple[int, ...]) -> None:
    device_file["data"]["layout"] = layout
    render_participants(device_file, tmp_path)
    for device in ("server", *device_file["clients"]):
        with np.load(tmp_path / device / "shard.npz", allow_pickle=False) as shard:
            assert {shard[name].shape[1:] for name in shard if name.endswith("_x")} == {shape}
    assert read_table(tmp_path)["shape"] == list(shape)


def test_other_ports_leave_the_shards_alone(device_file: dict[str, Any], tmp_path: Path) -> None:
    render_participants(device_file, tmp_path)
    shards = {device: (tmp_path / device / "shard.npz").stat() for device in device_file["clients"]}
    device_file["devices"][0]["config"]["distribute"]["server_port"] = 4711
    assert render_participants(device_file, tmp_path).changed
    assert {device: (tmp_path / device / "shard.npz").stat() for device in device_file["clients"]} == shards
    config = yaml.safe_load((tmp_path / device_file["devices"][0]["name"] / "config.yaml").read_text(encoding="utf-8"))
    assert config["distribute"]["server_port"] == 4711


@pytest.mark.parametrize("damage", [b"{}", b"[]", b"no JSON", b'{"version": 1, "fingerprint": null}', b"\xff"])
@pytest.mark.parametrize("file", ["local.stamp.json", "labels.json"])
def test_damaged_records_are_written_again(
    device_file: dict[str, Any], tmp_path: Path, file: str, damage: bytes
) -> None:
    render_participants(device_file, tmp_path)
    before = contents(tmp_path)
    (tmp_path / file).write_bytes(damage)
    assert render_participants(device_file, tmp_path).changed
    assert contents(tmp_path) == before
