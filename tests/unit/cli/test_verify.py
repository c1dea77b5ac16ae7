"""The verb verify."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from fedsim_runner.cli.entry import call
from fedsim_runner.contract.errors import Exit
from fedsim_runner.contract.events import LinkMeasured
from fedsim_runner.runs import verification
from fedsim_runner.runs.lookup import KnownRun
from tests.fake_testbed import FakeTestbed

UP = LinkMeasured(device="pi", direction="up", delay_asked_us=5_000, delay_us=5_300, loss_asked=0.0, verdict="within")


@pytest.fixture
def testbed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeTestbed:
    made = FakeTestbed()
    made.there["study"] = ["pi"]
    made.measured = [UP, replace(UP, direction="down")]
    monkeypatch.setattr(verification, "find_run", lambda run: KnownRun(run, tmp_path, None))
    monkeypatch.setattr(verification, "testbed_of", lambda known, lab: made)
    return made


def test_links_are_shown_and_kept(testbed: FakeTestbed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["verify", "study"]) == Exit.DONE
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["pi", "up"], ["pi", "down"]]
    assert "5.3 ms (5.0 ms)" in lines[1] and "within" in lines[1]
    with (tmp_path / "links.csv").open(encoding="utf-8", newline="") as stream:
        assert [row["delay_error_us"] for row in csv.DictReader(stream)] == ["300", "300"]


def test_a_link_out_of_tolerance_has_an_exit_code(testbed: FakeTestbed, capsys: pytest.CaptureFixture[str]) -> None:
    testbed.measured[1] = replace(UP, direction="down", verdict="out", reason="delay 9.0 ms (likely reason: load)")
    assert call(["verify", "study", "--json"]) == Exit.LINKS
    assert [row["verdict"] for row in json.loads(capsys.readouterr().out)] == ["within", "out"]


@pytest.mark.parametrize(("carries", "code"), [("one", Exit.DONE), ("two", Exit.LAB)])
def test_a_lab_host_that_is_away_matters_if_it_carries_a_device(
    carries: str, code: Exit, testbed: FakeTestbed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = tmp_path / "inventory" / "device_files"
    files.mkdir(parents=True)
    content = {"lab_host": carries, "devices": [{"name": "pi"}]}
    (files / f"{carries}.json").write_text(json.dumps(content), encoding="utf-8")
    testbed.out_of_reach = ["two"]
    assert call(["verify", "study"]) == code
    shown = capsys.readouterr()
    assert shown.err == ("error: two is away\n" if code else "")
    assert "within" in shown.out and (tmp_path / "links.csv").exists()


def test_a_run_whose_course_is_over_keeps_what_was_measured(
    testbed: FakeTestbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    testbed.measured = []
    (tmp_path / "links.csv").write_text("kept", encoding="utf-8")
    row = {"device": "pi", "cpus": 0.05, "cpus_asked": 0.0512, "steps": 3, "time_error": 0.024, "verdict": "within"}
    row |= {"reference_error": None}
    monkeypatch.setattr(verification, "build_report", lambda *_, **__: {"compute": [{**row, "reason": None}]})
    assert call(["verify", "study"]) == Exit.DONE
    shown = capsys.readouterr().out
    assert "none was measured" in shown and "0.05 (0.0512)" in shown and "+2.4%" in shown
    assert (tmp_path / "links.csv").read_text(encoding="utf-8") == "kept"


def test_a_run_that_is_not_up_is_refused(testbed: FakeTestbed, capsys: pytest.CaptureFixture[str]) -> None:
    testbed.there.clear()
    assert call(["verify", "study"]) == Exit.SPEC
    assert "nothing to measure" in capsys.readouterr().err
