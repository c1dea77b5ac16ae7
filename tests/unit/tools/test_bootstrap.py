"""What scripts/bootstrap asks for where the machine has no Python that is new enough."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "bootstrap"


@pytest.mark.parametrize(
    ("release", "packages"),
    [
        ('VERSION_ID="22.04"\nUBUNTU_CODENAME=jammy\n', "python3.11 python3.11-venv"),
        ('VERSION_ID="24.04"\nUBUNTU_CODENAME=noble\n', "python3 python3-venv"),
        ("VERSION_CODENAME=bookworm\n", "python3 python3-venv"),
    ],
)
@pytest.mark.process
def test_the_packages_with_a_python_that_is_new_enough(tmp_path: Path, release: str, packages: str) -> None:
    (tmp_path / "os-release").write_text(release, encoding="utf-8")
    (tmp_path / "pyproject.toml").touch()
    text = SCRIPT.read_text(encoding="utf-8")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/bootstrap").write_text(
        text.replace("/etc/os-release", str(tmp_path / "os-release")).replace("/usr/bin/python3", "no-python"), "utf-8"
    )
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("dirname", "cksum", "cat", "grep", "mkdir", "ln"):
        found = shutil.which(name)
        assert found is not None
        (programs / name).symlink_to(found)
    for name, answer in (("id", "echo 1000"), ("apt-get", "exit 1")):
        (programs / name).write_text(f"#!/bin/sh\n{answer}\n", "utf-8")
        (programs / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", str(tmp_path / "scripts/bootstrap"), "--no-engine"],
        env={"PATH": str(programs)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    asked = f"bootstrap: Python 3.11 or newer: as root run: apt-get install --no-install-recommends {packages}\n"
    assert (done.returncode, done.stderr) == (1, asked)
