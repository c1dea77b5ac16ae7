"""The back end under test: the one that this kernel supports, or the one that FEDSIM_LAB_BACKEND names."""

from __future__ import annotations

import os
from typing import Any

import pytest

from fedsim_runner.agent.links import backends, probe


@pytest.fixture(scope="module")
def probed() -> dict[str, Any]:
    assert os.geteuid() == 0, "link tests create network namespaces: run them as root"
    return probe.probe()


@pytest.fixture
def backend(probed: dict[str, Any]) -> str:
    name = os.environ.get("FEDSIM_LAB_BACKEND") or probed["backend"]
    assert name in backends.names(), f"no back end can shape links on this kernel: {probed['missing']}"
    return name
