"""Where the tests find FederatedScope itself: the environment, else the user's configuration of fedsim-runner.

``~/.config/fedsim/config.yaml``::

    federatedscope:
      source: /path/to/a/checkout
      python: /path/to/an/interpreter/that/has/torch/and/the/rest   # default: the one that runs the tests
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
WAYS = f"FEDSIM_FEDERATEDSCOPE_SOURCE and {CONFIG}"


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
    """Folder of the checkout, once the interpreter has shown that it can run it; else the test is skipped by name."""
    if not SOURCE:
        pytest.skip(f"no checkout of FederatedScope to test against: {WAYS} name none")
    folder = Path(SOURCE).resolve()
    assert (folder / "federatedscope" / "main.py").is_file(), f"{folder} is no checkout of FederatedScope"
    if problem := _problem(folder):
        pytest.skip(f"{PYTHON} cannot run FederatedScope: {problem}")
    return folder
