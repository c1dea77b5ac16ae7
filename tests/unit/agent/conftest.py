"""A run with a fake Engine and a fake kernel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.contract.paths import StateFolder

from .fake_engine import FakeEngine
from .links.fake_kernel import FakeKernel


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    return FakeKernel(lacks=("iptables-nft", "iptables-legacy", "iptables")).install(monkeypatch)


@pytest.fixture
def state(tmp_path: Path, device_file: dict[str, Any]) -> StateFolder:
    folder = StateFolder(tmp_path)
    folder.device_file.write_text(json.dumps(device_file))
    for device in device_file["devices"]:
        folder.outputs(device["name"]).mkdir(parents=True)
    return folder


@pytest.fixture
def engine(device_file: dict[str, Any]) -> FakeEngine:
    return FakeEngine([device["name"] for device in device_file["devices"]])
