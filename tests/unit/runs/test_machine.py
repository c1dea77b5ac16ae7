"""What the manifest says about this machine, this program and the images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.runs.machine import checkout, control_node, cpu_model
from fedsim_runner.testbed.docker.image_packages import packages_of

INTEL = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon  E5\nmodel\t\t: 85\n"
ARM = "processor\t: 0\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd0c\n"
PI = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\nModel\t\t: Raspberry Pi 4\n"


@pytest.mark.parametrize(
    ("text", "model"),
    [
        (INTEL, "Xeon  E5"),
        (ARM, "CPU implementer 0x41 CPU part 0xd0c"),
        (PI, "Raspberry Pi 4"),
        ("", None),
        (None, None),
    ],
)
def test_the_processors_name(text: str | None, model: str | None, tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    assert cpu_model(path) == model


@pytest.mark.process
def test_this_machine_and_this_program(repository: Path) -> None:
    node = control_node()
    assert all(node["packages"].values())
    assert node["cpu_count"] >= 1
    source = checkout()
    assert (source is not None) is (repository / ".git").exists()
    if source is not None:
        assert len(source["revision"]) == 40


class FakeApi:
    """An Engine whose images have one package each, except one image without Python."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.containers: set[str] = set()

    def create_host_config(self, **limits: Any) -> dict[str, Any]:
        assert limits["network_mode"] == "none"
        return limits

    def create_container(self, image: str, command: list[str], labels: dict[str, str], **_: Any) -> dict[str, str]:
        assert labels == {"org.fedsim.run": "study"}
        self.containers.add(image)
        return {"Id": image}

    def start(self, container: str) -> None:
        self.started.append(container)

    def wait(self, container: str, timeout: int) -> dict[str, int]:
        return {"StatusCode": 127 if container == "bare" else 0}

    def logs(self, container: str, **_: Any) -> bytes:
        return json.dumps({"python": "3.11", "numpy": container}).encode()

    def remove_container(self, container: str, force: bool) -> None:
        self.containers.remove(container)


def test_an_image_is_queried_once_and_leaves_no_container(tmp_path: Path) -> None:
    api, cache = FakeApi(), tmp_path / "state" / "packages.json"
    engine: Any = type("Engine", (), {"client": type("Client", (), {"api": api})})
    for _ in range(2):
        found = packages_of(engine, ["one", "two", "one", "bare"], "study", cache)
        assert {image: versions["numpy"] for image, versions in found.items()} == {"one": "one", "two": "two"}
    # An image that could not be queried is tried again.
    assert sorted(api.started) == ["bare", "bare", "one", "two"]
    assert api.containers == set()
    cache.write_text("damaged", encoding="utf-8")
    assert packages_of(engine, ["one"], "study", cache)["one"]["python"] == "3.11"
