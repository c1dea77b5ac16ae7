"""A run folder with any damage can be read: what is left of it counts, and nothing raises."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fedsim_runner.contract.errors import FedsimError
from fedsim_runner.results import build_report, render_summary
from fedsim_runner.results.run_files import read_containers, read_course, read_devices, read_manifest
from fedsim_runner.runs.repetition.rerun import open_original
from tests.unit.results.synthetic import write_run

from .strategies import changed, damaged

pytestmark = pytest.mark.lengthy

OF_0_1_0 = Path(__file__).resolve().parents[2] / "data" / "runs-0.1.0"


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Run folders of this version and of 0.1.0."""
    made = write_run(tmp_path_factory.mktemp("made") / "made", clients=3, rounds=3, lost=True)
    return [made, OF_0_1_0 / "killed", OF_0_1_0 / "light"]


def _damage(draw: Any, path: Path) -> None:
    """One file is missing, damaged or replaced by something that is no file; JSON also has other values."""
    content = path.read_bytes()
    how = draw(st.sampled_from(["missing", "folder", "bytes", "bytes", "json", "json"]))
    if how == "json" and path.suffix in (".json", ".jsonl"):
        lines = content.decode().splitlines() if path.suffix == ".jsonl" else [content.decode()]
        if lines:
            number = draw(st.integers(0, len(lines) - 1))
            try:
                lines[number] = json.dumps(draw(changed(json.loads(lines[number]))))
            except ValueError:
                lines[number] = "9" * 5000
            path.write_text("\n".join(lines), encoding="utf-8")
        return
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how != "missing":
        path.write_bytes(draw(damaged(content)))


@given(data=st.data())
def test_a_damaged_run_folder(
    originals: list[Path], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damaged") / "run"
    shutil.copytree(data.draw(st.sampled_from(originals)), folder)
    try:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        for path in data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=3, unique=True)):
            _damage(data.draw, path)
        read_course(folder)
        read_manifest(folder)
        read_containers(folder)
        try:
            read_devices(folder)
            report = build_report(folder)
        except FedsimError as error:  # a device file of another version is refused by name
            assert "has version" in str(error)
            return
        json.dumps(report)
        Console(quiet=True).print(render_summary(report, folder))
        try:
            open_original(str(folder))
        except FedsimError as error:
            assert str(error)
    finally:
        shutil.rmtree(folder)
