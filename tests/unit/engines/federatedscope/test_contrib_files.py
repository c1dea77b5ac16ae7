"""Files beside the user's own code come into the wheel; a checkout without any has the wheel that it always had."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fedsim_runner.engines.federatedscope.contrib_files import add_contrib_files
from fedsim_runner.engines.federatedscope.source import (
    checkout_fingerprint,
    contrib_files,
    parse_source,
    tree_digest,
)
from fedsim_runner.engines.federatedscope.wheel import CachedSource

CODE = "from pathlib import Path\nprint(Path(__file__).with_name('table, 2.txt').read_text())\n"
CARRIED = ["model/deep/net.pt", "model/table, 2.txt"]
LEFT = ["README.md", "data/set.bin", "model/__pycache__/mine.pyc", "model/.hidden", "model/mine.py"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    contrib = tmp_path / "checkout/federatedscope/contrib"
    for name in (*CARRIED, *LEFT):
        (contrib / name).parent.mkdir(parents=True, exist_ok=True)
        (contrib / name).write_text(CODE if name.endswith(".py") else name, encoding="utf-8")
    for folder in (contrib.parent, contrib, contrib / "model"):
        (folder / "__init__.py").touch()
    (tmp_path / "checkout/setup.py").write_text(
        "import setuptools\nsetuptools.setup(name='federatedscope', version='0.3.0', "
        "packages=setuptools.find_packages())\n",
        encoding="utf-8",
    )
    return tmp_path / "checkout"


def test_what_stands_beside_code_counts(checkout: Path) -> None:
    assert contrib_files(checkout) == [Path("federatedscope/contrib", name) for name in CARRIED]
    assert checkout_fingerprint(checkout) == f"checkout with files {tree_digest(checkout)}"
    for name in CARRIED:
        (checkout / "federatedscope/contrib" / name).unlink()
    # Not another one than before: its wheel is the same.
    assert checkout_fingerprint(checkout) == f"checkout {tree_digest(checkout)}"


def test_a_wheel_that_has_them_stays_as_it_is(checkout: Path, tmp_path: Path) -> None:
    wheel = tmp_path / "federatedscope-0.3.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in CARRIED:
            archive.writestr(f"federatedscope/contrib/{name}", "the build's")
    before = wheel.read_bytes()
    add_contrib_files(wheel, checkout)
    assert wheel.read_bytes() == before


@pytest.mark.process
def test_code_finds_them_beside_itself(checkout: Path, tmp_path: Path) -> None:
    cached = CachedSource(parse_source(str(checkout), Path("/"), "a test"), tmp_path / "cache")
    wheel = cached.wheel()
    with zipfile.ZipFile(wheel) as archive:
        names = [name.removeprefix("federatedscope/contrib/") for name in archive.namelist()]
        (record,) = (name for name in archive.namelist() if name.endswith("/RECORD"))
        recorded = [line[0] for line in csv.reader(io.StringIO(archive.read(record).decode()))]
        assert sorted(recorded) == sorted(archive.namelist())
    assert {*CARRIED, "model/mine.py"} <= set(names) and not set(names) & set(LEFT[:-1])
    assert CachedSource(cached.source, tmp_path / "other").wheel().read_bytes() == wheel.read_bytes()
    site = tmp_path / "site"
    install = ["install", "--no-index", "--no-deps", "--disable-pip-version-check", f"--target={site}", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True, capture_output=True)
    found = subprocess.run(
        [sys.executable, "-m", "federatedscope.contrib.model.mine"],
        cwd=site,
        check=True,
        capture_output=True,
        text=True,
    )
    assert found.stdout.strip() == "model/table, 2.txt"
