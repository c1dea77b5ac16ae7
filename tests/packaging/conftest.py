"""What is published: sdist, wheel and the collection's artefact, each made once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def run(command: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program without the caller's Ansible and Python variables."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PYTHONPATH"))}
    return subprocess.run(command, cwd=cwd, env={**clean, **environment}, capture_output=True, text=True, timeout=500)


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sdist, and of the wheel that was built from it, as an index would serve them."""
    folder = tmp_path_factory.mktemp("dist")
    built = run([sys.executable, "-m", "build", "--outdir", str(folder), str(REPOSITORY)], folder)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="session")
def sdist(distributions: Path) -> Path:
    return next(distributions.glob("*.tar.gz"))


@pytest.fixture(scope="session")
def wheel(distributions: Path) -> Path:
    return next(distributions.glob("*.whl"))


@pytest.fixture(scope="session")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection as Galaxy would serve it."""
    folder = tmp_path_factory.mktemp("galaxy")
    program = str(Path(sys.executable).parent / "ansible-galaxy")
    built = run([program, "collection", "build", "--output-path", str(folder), str(REPOSITORY)], folder)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(folder.glob("*.tar.gz"))
