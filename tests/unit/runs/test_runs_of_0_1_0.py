"""Run folders of fedsim-runner 0.1.0, in which patches were called mends, are read like current ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fedsim_runner.contract.device_file import read_device_file
from fedsim_runner.results import write_report
from fedsim_runner.results.page import try_publish
from fedsim_runner.results.run_files import read_manifest
from fedsim_runner.runs.repetition.comparison import differing_facts
from fedsim_runner.runs.repetition.rerun import open_original

RUNS = Path(__file__).resolve().parents[2] / "data" / "runs-0.1.0"


@pytest.fixture
def mends(tmp_path: Path) -> Path:
    """A copy of the folder, into which a report is written."""
    return Path(shutil.copytree(RUNS / "mends", tmp_path / "mends"))


def test_its_experiment_can_be_run_again(mends: Path) -> None:
    original = open_original(str(mends))
    assert original.experiment.patches_off == ("log_addresses",)
    assert original.manifest["patches_off"] == ["log_addresses"]
    now = {**original.manifest, "patches_off": []}
    assert differing_facts(original.manifest, now) == ["patches switched off: log_addresses, now none"]


def test_its_device_file_is_understood(mends: Path) -> None:
    found = read_device_file(mends / "inventory" / "device_files" / "local.json")
    assert found.federatedscope.patches_off == ("log_addresses",)


@pytest.mark.drawing
def test_its_report_and_its_page_can_be_written(mends: Path) -> None:
    report = write_report(mends)
    assert report["status"] == "finished"
    assert len(report["rounds"]) == 3
    assert try_publish(mends, report) is None
    page = (mends / "report.html").read_text(encoding="utf-8")
    assert "Patches switched off" in page
    assert "log_addresses" in page
    assert "patches_off" in read_manifest(mends)
