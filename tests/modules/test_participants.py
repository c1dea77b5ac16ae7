"""The participants' inputs, as the module makes them on the control node. Needs no Engine."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.datasets.own_files import OwnFiles, digest, load_own

from .conftest import REPOSITORY, Answer, call_module

FILES = ("config.yaml", "launcher.json", "shard.npz")
SAMPLE = REPOSITORY / "inventories" / "sample" / "device_files" / "local.json"


@pytest.fixture
def content() -> dict[str, Any]:
    return dict(json.loads(SAMPLE.read_text(encoding="utf-8")))


def sha256_of(content: dict[str, Any], path: Path) -> str:
    return digest(OwnFiles.of({**content["data"], "dataset": "csv", "path": str(path)}, "server", []))


def participants(folder: Path, content: dict[str, Any], **options: bool) -> Answer:
    device_file = folder / "local.json"
    device_file.write_text(json.dumps(content), encoding="utf-8")
    arguments = {
        "run": content["run"],
        "device_file": str(device_file),
        "target": str(folder / "participants"),
        "archive": str(folder / "participants" / "local.tar"),
    }
    return call_module("fedsim_participants", arguments, **options)


def packed(folder: Path) -> dict[str, bytes]:
    with tarfile.open(folder / "participants" / "local.tar") as archive:
        streams = {member.name: archive.extractfile(member) for member in archive}
        return {name: stream.read() for name, stream in streams.items() if stream is not None}


def test_made_once_then_unchanged(tmp_path: Path, content: dict[str, Any]) -> None:
    assert participants(tmp_path, content, check=True).changed
    assert not (tmp_path / "participants").exists()
    first = participants(tmp_path, content)
    assert first.changed
    files = {f"devices/{name}/in/{file}" for name in first["devices"] for file in FILES}
    assert set(packed(tmp_path)) == {"device_file.json", *files}
    assert (tmp_path / "participants" / "labels.json").is_file()
    private = [tmp_path / "participants" / name for name in (*first["devices"], "local.tar")]
    assert [path.name for path in private if path.stat().st_mode & 0o077] == []
    before = (tmp_path / "participants" / "local.tar").read_bytes()
    for check in (True, False):
        assert not participants(tmp_path, content, check=check).changed
    assert (tmp_path / "participants" / "local.tar").read_bytes() == before


def test_a_changed_split_is_reported_and_made(tmp_path: Path, content: dict[str, Any]) -> None:
    participants(tmp_path, content)
    before = packed(tmp_path)
    content["data"]["seed"] += 1
    assert participants(tmp_path, content, check=True).changed
    assert packed(tmp_path) == before
    assert participants(tmp_path, content).changed
    assert packed(tmp_path)["devices/raspberry-pi/in/shard.npz"] != before["devices/raspberry-pi/in/shard.npz"]


def test_without_the_users_files_the_existing_shards_are_used(tmp_path: Path, content: dict[str, Any]) -> None:
    data = tmp_path / "d.csv"
    data.write_text("a,b,kind\n" + "1,2,x\n3,4,y\n" * 50, encoding="utf-8")
    content["data"] |= {"dataset": "csv", "path": str(data), "sha256": sha256_of(content, data)}
    assert participants(tmp_path, content).changed
    data.unlink()
    load_own.cache_clear()
    for check in (True, False):
        assert not participants(tmp_path, content, check=check).changed
    (tmp_path / "participants" / "labels.json").unlink()
    failed = participants(tmp_path, content, expect_failure=True)
    assert failed.msg == f"inputs of {tmp_path / 'local.json'}: {data}: there is no such file"


def test_bad_data_is_reported(tmp_path: Path, content: dict[str, Any]) -> None:
    data = tmp_path / "d.csv"
    data.write_text("a,b,kind\n1,two,x\n", encoding="utf-8")
    content["data"] |= {"dataset": "csv", "path": str(data)}
    failed = participants(tmp_path, content, expect_failure=True)
    assert f'{data}:2: column "b": "two" is not a number' in failed.msg
