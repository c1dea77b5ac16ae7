"""The device file: reading returns what was written, and every reader refuses a version that it does not know."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.agent.run_settings import read_run_settings
from fedsim_runner.contract.device_file import DeviceFile, DeviceFileError, read_device_file
from fedsim_runner.inventory import read_device_files
from fedsim_runner.results.run_files import read_devices
from tests.device_files import device, device_file

REPOSITORY = Path(__file__).parents[3]
GOLDEN = sorted((REPOSITORY / "tests" / "golden" / "inventory").rglob("device_files/*.json"))

READERS: dict[str, Callable[[Path], Any]] = {
    "contract": read_device_file,
    "agent": read_run_settings,
    "inventory": lambda path: read_device_files(path.parents[1]),
    "report": lambda path: read_devices(path.parents[2]),
}


def in_run_folder(folder: Path, content: object) -> Path:
    path = folder / "inventory" / "device_files" / "local.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_a_file_is_written_as_it_was_read_byte_for_byte(path: Path) -> None:
    assert GOLDEN
    assert read_device_file(path).as_text() == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("version", [4, "2", True])
def test_every_reader_names_a_version_that_it_does_not_know(reader: str, version: object, tmp_path: Path) -> None:
    path = in_run_folder(tmp_path, {**device_file().as_dict(), "version": version})
    with pytest.raises(DeviceFileError) as refused:
        READERS[reader](path)
    assert f"device file {path} has version {version}, and this fedsim-runner reads versions 1, 2, 3" in str(
        refused.value
    )


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_takes_files_of_version_1(reader: str, tmp_path: Path) -> None:
    content = {**device_file().as_dict(), "version": 1}
    content["network"] = {"name": "fedsim-study", "subnet": "198.18.7.0/24", "gateway": "198.18.7.1"}
    content["federatedscope"] = {"source": None, "mends_off": ["lost_join"]}
    for entry in content["devices"]:
        del entry["start_cpu_s"]
    path = in_run_folder(tmp_path, content)
    assert READERS[reader](path)
    assert read_device_file(path).federatedscope.patches_off == ("lost_join",)
    assert read_device_file(path).network.subnet == "198.18.7.0/24"
    assert read_device_file(path).as_dict()["version"] == 3


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_takes_files_of_version_2(reader: str, tmp_path: Path) -> None:
    content = {**device_file().as_dict(), "version": 2}
    content["network"] = {"name": "fedsim-study", "subnet": "198.18.7.0/24", "gateway": "198.18.7.1"}
    path = in_run_folder(tmp_path, content)
    assert READERS[reader](path)
    assert read_device_file(path).network.subnet == "198.18.7.0/24"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"course": None}, "course: expected an object, not null"),
        ({"seed": "7"}, "seed: expected a whole number, not text"),
        ({"seed": True}, "seed: expected a whole number, not true or false"),
        ({"devices": {}}, "devices: expected a list, not an object"),
        ({"nework": {}}, "nework: unknown key"),
        ({"clients": [3]}, "clients[0]: expected text, not a whole number"),
        ({"course": {}}, "course.timeout_s: missing"),
    ],
)
def test_a_damaged_file_is_refused_with_the_place(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = in_run_folder(tmp_path, {**device_file().as_dict(), **change})
    with pytest.raises(DeviceFileError) as refused:
        read_device_file(path)
    assert str(refused.value).startswith(f"device file {path} is damaged: {message}")


def test_the_place_of_a_mistake_in_a_device_has_its_number(tmp_path: Path) -> None:
    content = device_file(device("a", "server", 0), device("b")).as_dict()
    content["devices"][1]["role"] = "helper"
    with pytest.raises(DeviceFileError, match=r"devices\[1\]\.role: 'helper' is not one of server, client"):
        DeviceFile.from_dict(content)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is not valid JSON"), ("[]", "is not a JSON object"), (None, "cannot be read")]
)
def test_a_file_that_cannot_be_read_is_named(text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "local.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(DeviceFileError, match=message):
        read_device_file(path)


def test_an_inventory_may_be_run_under_another_name(tmp_path: Path) -> None:
    found = read_device_file(in_run_folder(tmp_path, device_file().as_dict()), "other")
    assert found.run == "other"
