"""Every module that reads a device file refuses an unknown version and names it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.device_files import device_file

from .conftest import call_module, load_module

# How each is called. Those that connect to an Engine first use the same function to read it.
CALLS: dict[str, dict[str, Any]] = {
    "fedsim_build_context": {"hosts": [{"name": "here", "arch": "amd64", "device_file": "FILE"}]},
    "fedsim_participants": {"run": "study", "device_file": "FILE", "target": "TARGET", "archive": "TARGET/a.tar"},
}
ENGINE_FIRST = ("fedsim_course", "fedsim_devices", "fedsim_links")


@pytest.mark.process
@pytest.mark.parametrize("module", CALLS)
def test_an_unknown_version_fails_the_module(module: str, tmp_path: Path) -> None:
    path = tmp_path / "device_file.json"
    path.write_text(json.dumps({**device_file().as_dict(), "version": 9}), encoding="utf-8")
    arguments = json.dumps(CALLS[module]).replace("FILE", str(path)).replace("TARGET", str(tmp_path / "made"))
    answer = call_module(module, json.loads(arguments), expect_failure=True)
    assert f"device file {path} has version 9, and this fedsim-runner reads versions 1, 2, 3" in answer.msg


@pytest.mark.parametrize("module", ENGINE_FIRST)
def test_modules_that_connect_to_an_engine_first_read_with_the_same_function(module: str) -> None:
    assert load_module(module).read_device_file is load_module("fedsim_build_context").read_device_file
