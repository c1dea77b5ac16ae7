"""The unpacked sdist is set up like a checkout."""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path

import pytest

from tests.packaging.conftest import run


@pytest.fixture
def unpacked(sdist: Path, tmp_path: Path) -> Path:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    return folder


def test_it_has_what_its_pages_link_to(unpacked: Path) -> None:
    for name in (
        "README.md",
        "CONTRIBUTING.md",
        "docs/architecture.md",
        "examples/quickstart.yaml",
        "scripts/bootstrap",
    ):
        assert (unpacked / name).is_file(), name


def test_the_bootstrap_makes_the_link_under_which_ansible_finds_the_collection(unpacked: Path) -> None:
    # An environment that is up to date, so that nothing is installed.
    (unpacked / ".venv" / "bin").mkdir(parents=True)
    (unpacked / ".venv" / "bin" / "python").symlink_to(sys.executable)
    checksum = run(["sh", "-c", "cksum < pyproject.toml"], unpacked).stdout.strip()
    (unpacked / ".venv" / "fedsim-stamp").write_text(f"{checksum} dev=[dev]\n", encoding="utf-8")
    for _ in range(2):
        done = run(["scripts/bootstrap", "--no-engine"], unpacked)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
    collection = unpacked / "collections" / "ansible_collections" / "fedsim" / "testbed"
    assert (collection / "galaxy.yml").samefile(unpacked / "galaxy.yml")
