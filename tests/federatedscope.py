"""Where the tests find FederatedScope itself: the environment, or the user's configuration of fedsim-runner.

``~/.config/fedsim/config.yaml``::

    federatedscope:
      source: /path/to/a/checkout
      python: /path/to/an/interpreter/that/has/torch/and/more   # default: the one that runs the tests
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

CONFIG = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "fedsim" / "config.yaml"
SETTINGS = f"FEDSIM_FEDERATEDSCOPE_SOURCE and {CONFIG}"


def _configured(key: str) -> str:
    try:
        content = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    return str(((content or {}).get("federatedscope") or {}).get(key) or "")


SOURCE = os.environ.get("FEDSIM_FEDERATEDSCOPE_SOURCE") or _configured("source")
PYTHON = os.environ.get("FEDSIM_FEDERATEDSCOPE_PYTHON") or _configured("python") or sys.executable


@functools.cache
def _problem(folder: Path) -> str:
    """Why the interpreter cannot run the checkout; empty if it can."""
    answer = subprocess.run(
        [PYTHON, "-c", "import torch, federatedscope.main"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(folder)},
        cwd=folder,
        check=False,
    )
    return answer.stderr.strip().splitlines()[-1] if answer.returncode else ""


def runnable_checkout() -> Path:
    """Folder of a checkout that the interpreter can run; otherwise the test is skipped with the reason."""
    if not SOURCE:
        pytest.skip(f"no FederatedScope to test against: {SETTINGS} name no checkout")
    folder = Path(SOURCE).resolve()
    assert (folder / "federatedscope" / "main.py").is_file(), f"{folder} is not a checkout of FederatedScope"
    if problem := _problem(folder):
        pytest.skip(f"{PYTHON} cannot run FederatedScope: {problem}")
    return folder
