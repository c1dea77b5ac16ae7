"""A lab host whose Python has no Docker SDK gets that of the control node."""

from __future__ import annotations

import base64
import io
import lzma
import pwd
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.plugins.action.normal import ActionModule as ModuleAction
from ansible_collections.fedsim.testbed.plugins.module_utils import _shipped_sdk
from ansible_collections.fedsim.testbed.plugins.modules import fedsim_docker_sdk
from ansible_collections.fedsim.testbed.plugins.plugin_utils import _worker_action
from ansible_collections.fedsim.testbed.plugins.plugin_utils._docker_sdk import PACKAGES, pack_sdk
from ansible_collections.fedsim.testbed.plugins.plugin_utils._worker_action import WorkerAction


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_dir=str(tmp_path)))
    return tmp_path


def archive(files: dict[str, str]) -> str:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:xz") as packed:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            packed.addfile(member, io.BytesIO(text.encode()))
    return base64.b64encode(target.getvalue()).decode()


def unpack(packed: str, *, check: bool = False) -> dict[str, Any]:
    def no_folder() -> str:
        raise AssertionError("it needs no folder for the call")

    return fedsim_docker_sdk.MODULE.answer(
        {"archive": packed}, check=check, diff=False, warn=lambda text: None, make_folder=no_folder
    )


def test_all_that_the_sdk_needs_is_packed_as_source() -> None:
    content = lzma.decompress(base64.b64decode(pack_sdk()))
    with tarfile.open(fileobj=io.BytesIO(content)) as packed:
        names = packed.getnames()
    assert {name.split("/")[0] for name in names} == set(PACKAGES)
    assert {f"{package}/__init__.py" for package in PACKAGES} <= set(names)
    assert {Path(name).suffix for name in names} == {".py", ".pem"}
    # Its compiled modules are left out; they are there as source, too.
    assert "charset_normalizer/md.py" in names


def test_a_version_is_unpacked_once_and_replaced_by_another(home: Path) -> None:
    old, new = archive({"docker/__init__.py": "old"}), archive({"docker/__init__.py": "new"})
    file = home / ".cache/fedsim/docker-sdk/docker/__init__.py"
    assert unpack(old, check=True)["changed"] and not file.exists()
    assert [unpack(old)["changed"] for _ in range(2)] == [True, False]
    assert file.read_text() == "old"
    assert unpack(new)["changed"] and file.read_text() == "new"
    assert unpack(old)["changed"] and file.read_text() == "old"
    assert not list((home / ".cache/fedsim").glob(".*"))


@pytest.mark.parametrize("packed", ["no base64!", base64.b64encode(b"no archive").decode()])
def test_what_is_no_archive_is_refused(home: Path, packed: str) -> None:
    answer = unpack(packed)
    assert answer["failed"] and answer["msg"].startswith("the Docker SDK cannot be unpacked: ")


def test_a_file_that_would_lie_elsewhere_is_refused(home: Path) -> None:
    answer = unpack(archive({"../../evil.py": "x"}))
    assert answer["failed"] and not (home / "evil.py").exists() and not (home / ".cache/evil.py").exists()


def test_the_shipped_sdk_is_used_only_where_there_is_none(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpack(archive({"docker/__init__.py": "", "fedsim_test_sdk/__init__.py": ""}))
    monkeypatch.setattr(sys, "path", list(sys.path))
    _shipped_sdk.find_sdk()
    assert str(_shipped_sdk.shipped_folder()) not in sys.path
    monkeypatch.setattr(_shipped_sdk, "PACKAGE", "fedsim_test_sdk")
    _shipped_sdk.find_sdk()
    assert sys.path[0] == str(_shipped_sdk.shipped_folder())


class Elsewhere(WorkerAction):
    """An action plugin for a lab host elsewhere; ``shipping`` is what the module fedsim_docker_sdk answers there."""

    def __init__(self, shipping: dict[str, Any], check: bool = False) -> None:
        self.shipping, self.shipped = shipping, list[str]()
        self._task = SimpleNamespace(args={}, check_mode=check)

    def _execute_module(self, name: str, arguments: dict[str, Any], **_: Any) -> dict[str, Any]:  # type: ignore[override]
        self.shipped.append(f"{name} {arguments['archive'][:2]}")
        return self.shipping


def test_the_module_runs_again_once_the_sdk_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_worker_action, "pack_sdk", lambda: "QUJD")
    answers = [{"failed": True, "fedsim_sdk_missing": True, "msg": "no SDK"}, {"changed": True}]
    monkeypatch.setattr(ModuleAction, "run", lambda *_: dict(answers[0] if not caller.shipped else answers[1]))
    caller = Elsewhere({"changed": True})
    assert caller._run_elsewhere(None, {}) == {"changed": True}
    assert caller.shipped == ["fedsim.testbed.fedsim_docker_sdk QU"]
    # Check mode changes nothing.
    caller = Elsewhere({}, check=True)
    assert caller._run_elsewhere(None, {}) == {"failed": True, "msg": "no SDK"}
    assert not caller.shipped


def test_an_sdk_that_cannot_be_put_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_worker_action, "pack_sdk", lambda: "QUJD")
    missing = {"failed": True, "fedsim_sdk_missing": True, "msg": "no SDK"}
    monkeypatch.setattr(ModuleAction, "run", lambda *_: dict(missing))
    caller = Elsewhere({"failed": True, "msg": "no space left"})
    assert caller._run_elsewhere(None, {})["msg"] == "no SDK; no space left"
