"""The benchmarks can be run as the README says, whether or not the environment is activated."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
# The others are what these share.
PROGRAMS = sorted(
    path.stem for path in (REPOSITORY / "benchmarks").glob("*.py") if "__main__" in path.read_text("utf-8")
)


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_has_a_main_and_says_how_to_run_it(name: str) -> None:
    program = import_module(f"benchmarks.{name}")
    assert callable(program.main)
    assert f"python -m benchmarks.{name}" in str(program.__doc__)


@pytest.mark.ansible
def test_planning_finds_ansible_beside_its_interpreter() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.planning", "5"],
        cwd=REPOSITORY,
        env={**os.environ, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "no-op play" in done.stdout
