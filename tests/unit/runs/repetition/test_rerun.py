"""Repeating a run: finding its folder, refusing an incomplete one, and a repetition without Docker."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any, NoReturn

import pytest
from rich.console import Console

from fedsim_runner.cli.entry import call
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.engines.federatedscope.source import SourceError
from fedsim_runner.runs.experiment_file import load_experiment
from fedsim_runner.runs.lifecycle import run_experiment
from fedsim_runner.runs.options import RunOptions
from fedsim_runner.runs.repetition import rerun as rerun_module
from fedsim_runner.runs.repetition.rerun import open_original, rerun
from fedsim_runner.spec.experiment import Experiment
from fedsim_runner.testbed.installed import find_testbed
from tests.e2e.conftest import small_spec

pytestmark = pytest.mark.course


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small, finished run of plain processes."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        console = Console(file=io.StringIO(), width=200)
        made = load_experiment(small_spec(folder, "small", rounds=2))
        code, _ = run_experiment(made, RunOptions("first", folder / "runs"), console, find_testbed("processes"))
    assert code is Exit.DONE, console.file.getvalue()
    return folder / "runs" / "first"


@pytest.fixture
def moved(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy elsewhere, for a user whose registry does not contain the run."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(finished, tmp_path / "moved"))


def manifest_of(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return loaded


def test_the_course_is_repeated_and_compared(moved: Path, tmp_path: Path) -> None:
    changed = manifest_of(moved)
    changed["control_node"]["kernel"] = "2.6.32"
    (moved / "manifest.json").write_text(json.dumps(changed), encoding="utf-8")
    console = Console(file=io.StringIO(), width=200)
    original = open_original(str(moved))
    assert original.testbed == "processes"
    code, report = rerun(original, RunOptions(runs_dir=tmp_path / "again"), console, find_testbed("processes"))
    output = console.file.getvalue()
    assert code is Exit.DONE, output
    assert report["run"].startswith("small-")
    manifest = manifest_of(tmp_path / "again" / report["run"])
    assert (manifest["repeats"], manifest["repetition"]["of"]) == ("first", "first")
    assert manifest["repetition"]["rounds"]["equal"] == 2, output
    assert "the accuracy is equal to the last digit in all 2 rounds" in output
    assert "kernel of the control node: 2.6.32, now " in output
    assert manifest["inputs_sha256"] == original.manifest["inputs_sha256"]
    page = (tmp_path / "again" / report["run"] / "report.html").read_text(encoding="utf-8")
    assert "<dd>the accuracy is equal to the last digit in all 2 rounds</dd>" in page
    assert "kernel of the control node: 2.6.32, now " in page


def test_a_run_is_found_by_its_name_too(moved: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    moved.rename(tmp_path / "runs" / "first")
    assert open_original("first").folder == (tmp_path / "runs" / "first").resolve()
    with pytest.raises(FedsimError, match='did you mean "first"'):
        open_original("fist")
    with pytest.raises(FedsimError, match=r"there is no run folder \./nowhere"):
        open_original("./nowhere")
    with pytest.raises(FedsimError, match="is not a run name"):
        open_original("Not A Name")


def test_a_changed_file_is_refused(moved: Path) -> None:
    with (moved / "experiment.yaml").open("a", encoding="utf-8") as stream:
        stream.write("# 20 clients\n")
    with pytest.raises(FedsimError, match=r"experiment.yaml changed after the run.*fedsim-provision run .*moved"):
        open_original(str(moved))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is not a run folder: it has no manifest.json"),
        ("{", "manifest.json is damaged"),
        ("[]", "manifest.json is damaged"),
        ('{"fedsim_runner": "0.0.1"}', "has version 0, from fedsim-runner 0.0.1; this one reads version 1"),
        ('{"version": 2, "fedsim_runner": "9.0"}', "has version 2, from fedsim-runner 9.0"),
        ('{"version": 1}', "is damaged: it names no run"),
    ],
)
def test_a_folder_without_a_good_manifest_is_refused(
    content: str | None, message: str, moved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (moved / "journal.jsonl").unlink()
    (moved / "manifest.json").unlink()
    if content is not None:
        (moved / "manifest.json").write_text(content, encoding="utf-8")
    assert call(["rerun", str(moved)]) == Exit.SPEC
    assert message in capsys.readouterr().err


def test_what_was_only_collected_from_lab_hosts_is_not_repeated(moved: Path) -> None:
    (moved / "manifest.json").unlink()
    with pytest.raises(FedsimError, match="repeated on the control node where it was started, or"):
        open_original(str(moved))


def test_a_taken_name_is_refused_before_anything_is_done(moved: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    shutil.copytree(moved, tmp_path / "runs" / "taken")
    assert call(["rerun", str(moved), "--run", "taken"]) == Exit.SPEC


def with_wheel(moved: Path, sha256: str | None) -> Path:
    """The folder as if devices had run FederatedScope from this wheel."""
    wheel = moved / "inputs" / "federatedscope" / "federatedscope-0.3.0-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.write_bytes(b"wheel")
    manifest = manifest_of(moved)
    manifest["federatedscope"] = None if sha256 is None else {"sha256": sha256}
    (moved / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return wheel


def repeated(folder: Path, trust: bool) -> Experiment:
    """The experiment that a rerun with Docker would start."""
    started: list[Experiment] = []

    def start(experiment: Experiment, *_: object) -> NoReturn:
        started.append(experiment)
        raise FedsimError("started", Exit.LAB)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rerun_module, "run_experiment", start)
        with pytest.raises(FedsimError, match=r"^started$"):
            rerun(open_original(str(folder)), RunOptions(), Console(file=io.StringIO()), find_testbed("docker"), trust)
    return started[0]


@pytest.mark.parametrize(("ran", "takes_the_wheel"), [("a", False), ("b", True), (None, True)])
def test_a_trusted_federatedscope_comes_from_its_original_source_while_that_is_unchanged(
    ran: str | None, takes_the_wheel: bool, moved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = with_wheel(moved, ran)
    monkeypatch.setattr(rerun_module, "source_manifest", lambda named: {"sha256": "a"})
    source = repeated(moved, trust=True).federatedscope_source
    assert source == (str(wheel) if takes_the_wheel else None)


def test_without_the_original_source_the_kept_wheel_is_used(moved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = with_wheel(moved, "a")

    def gone(named: str | None) -> dict[str, Any]:
        raise SourceError("there is no such folder")

    monkeypatch.setattr(rerun_module, "source_manifest", gone)
    assert repeated(moved, trust=True).federatedscope_source == str(wheel)


def test_a_source_that_no_device_uses_is_not_even_looked_at(moved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_wheel(moved, "b")
    monkeypatch.delattr(rerun_module, "source_manifest")
    assert repeated(moved, trust=False).federatedscope_source is None
