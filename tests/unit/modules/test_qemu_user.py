"""How the kernel gets to know qemu-user, and what an emulated image is compared with."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import requests
from ansible_collections.fedsim.testbed.plugins.module_utils import _rootfs_image
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import NotFound, create_container
from ansible_collections.fedsim.testbed.plugins.module_utils._image_build import BuildFailedError
from ansible_collections.fedsim.testbed.plugins.module_utils._qemu_user import (
    find_registration,
    mount_registry,
    register,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._reference_trial import (
    ReferenceTrialError,
    time_reference,
)

LINE = r":qemu-aarch64:M::\x7fELF:\xff:%s:%s"


def folder_with(tmp_path: Path, flags: str) -> Path:
    interpreter = tmp_path / "qemu"
    interpreter.write_text("")
    (tmp_path / "qemu-aarch64.conf").write_text(f"# a comment\n{LINE % (interpreter, flags)}\n")
    return tmp_path


@pytest.mark.parametrize(("flags", "registered"), [("OPF", "OPF"), ("P", "PF"), ("", "F")])
def test_the_packages_line_is_registered_so_that_it_works_in_containers(
    tmp_path: Path, flags: str, registered: str
) -> None:
    folder = folder_with(tmp_path, flags)
    assert find_registration("arm64", (tmp_path / "none", folder)) == LINE % (tmp_path / "qemu", registered)
    assert find_registration("amd64", (folder,)) is None


def test_a_line_whose_interpreter_is_gone_does_not_count(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "F")
    (tmp_path / "qemu").unlink()
    assert find_registration("arm64", (folder,)) is None


def test_an_entry_that_does_not_serve_containers_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "register").write_text("")
    (tmp_path / "qemu-aarch64").write_text("enabled")
    register(LINE % ("/qemu", "F"), tmp_path)
    assert (tmp_path / "qemu-aarch64").read_text() == "-1"
    assert (tmp_path / "register").read_text() == LINE % ("/qemu", "F")


def test_the_kernels_list_is_not_mounted_twice(tmp_path: Path) -> None:
    (tmp_path / "register").write_text("")
    assert not mount_registry(tmp_path)


class FakeEngine:
    """Takes an archive of images, and runs the reference. Its SDK is as old as that of Debian 12."""

    base_url, api_version, timeout = "http://engine", "1.41", 60

    def __init__(self, answer: bytes = b'{"python": 0.02, "step": 0.5}\n', code: int = 0) -> None:
        self.answer, self.code = answer, code
        self.loaded = b""
        self.created: dict[str, Any] = {}
        self.removed: list[str] = []

    def load_image(self, data: Any) -> list[dict[str, str]]:
        self.loaded = b"".join(data)
        return [{"stream": f"Loaded image ID: sha256:{'a' * 64}\n"}] if self.code == 0 else [{"error": "no space"}]

    def inspect_image(self, image: str) -> dict[str, str]:
        return {"Architecture": "arm64"}

    def create_container_from_config(self, body: dict[str, Any], name: str | None = None) -> dict[str, str]:
        self.created = {**body, "name": name}
        return {"Id": "c0"}

    def post(self, url: str, params: dict[str, str], json: dict[str, Any], timeout: int) -> requests.Response:
        self.created = {**json, **params, "url": url}
        answer = requests.Response()
        answer.status_code, answer._content = (
            (404, b'{"message": "no x"}') if self.code == 404 else (201, b'{"Id": "c1"}')
        )
        return answer

    def start(self, container: str) -> None:
        pass

    def wait(self, container: str, timeout: int) -> dict[str, int]:
        return {"StatusCode": self.code}

    def logs(self, container: str, **options: Any) -> bytes:
        return self.answer

    def remove_container(self, container: str, force: bool) -> None:
        self.removed.append(container)


def test_a_bootstrap_is_loaded_as_an_image_of_its_architecture(tmp_path: Path) -> None:
    rootfs = tmp_path / "rootfs.tar"
    rootfs.write_bytes(b"x" * 700)
    engine = FakeEngine()
    assert _rootfs_image.load_rootfs(engine, rootfs, "arm64") == f"sha256:{'a' * 64}"
    (tmp_path / "archive.tar").write_bytes(engine.loaded)
    with tarfile.open(tmp_path / "archive.tar") as archive:
        content = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    (entry,) = json.loads(content["manifest.json"])
    config = json.loads(content[entry["Config"]])
    assert config["architecture"] == "arm64"
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(b'x' * 700).hexdigest()}"]
    assert content[entry["Layers"][0]] == b"x" * 700
    with pytest.raises(BuildFailedError, match=r"did not load the Debian bootstrap rootfs.tar: no space"):
        _rootfs_image.load_rootfs(FakeEngine(code=1), rootfs, "arm64")


def test_the_reference_runs_without_network_as_the_images_platform() -> None:
    engine = FakeEngine()
    assert time_reference(engine, "pi", "study") == {"python": 0.02, "step": 0.5}
    assert engine.created["platform"] == "linux/arm64"
    assert engine.created["HostConfig"]["NetworkMode"] == "none"
    assert "/tmp" in engine.created["HostConfig"]["Tmpfs"]  # without it PyTorch cannot be imported
    assert "OMP_NUM_THREADS=1" in engine.created["Env"]
    assert engine.created["Labels"] == {"org.fedsim.run": "study"}
    assert engine.removed == ["c1"]


def test_an_sdk_that_knows_no_platform_creates_containers() -> None:
    engine = FakeEngine()
    assert create_container(engine, {"Image": "pi"}, "c") == "c0"
    assert engine.created == {"Image": "pi", "name": "c"}
    assert create_container(engine, {"Image": "pi"}, "c", "linux/arm64") == "c1"
    url = "http://engine/v1.41/containers/create"
    assert engine.created == {"Image": "pi", "name": "c", "platform": "linux/arm64", "url": url}
    with pytest.raises(NotFound, match="no x"):
        create_container(FakeEngine(code=404), {"Image": "pi"}, "c", "linux/arm64")


@pytest.mark.parametrize("engine", [FakeEngine(code=1), FakeEngine(b"killed"), FakeEngine(b"{}")])
def test_a_reference_that_fails_is_named_and_leaves_no_container(engine: FakeEngine) -> None:
    with pytest.raises(ReferenceTrialError, match="in image pi"):
        time_reference(engine, "pi", "study")
    assert engine.removed == ["c1"]
