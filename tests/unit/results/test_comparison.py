"""Comparing runs: grouping of repeats, time to a target, and the verb."""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path

import pytest

from fedsim_runner.cli.entry import call
from fedsim_runner.contract.errors import FedsimError
from fedsim_runner.results.comparison.groups import compare_runs
from fedsim_runner.results.comparison.intervals import half_width, quantile
from tests.unit.results.synthetic import MODEL_BYTES, write_run


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    quick = [write_run(tmp_path / f"quick-{seed}", seed=seed, rounds=10) for seed in (1, 2)]
    slow = write_run(tmp_path / "slow-1", seed=1, rounds=10, speed=3, experiment="slow", late=True)
    return [*quick, slow]


def test_repeats_are_grouped(runs: list[Path]) -> None:
    compared = compare_runs(runs)
    assert [run["group"] for run in compared["runs"]] == ["study", "study", "slow"]
    study, slow = compared["groups"]
    finals = [run["final_accuracy"] for run in compared["runs"][:2]]
    assert study["runs"] == 2
    assert study["final_accuracy_mean"] == pytest.approx(statistics.fmean(finals), abs=1e-6)
    assert study["final_accuracy_std"] == pytest.approx(statistics.stdev(finals), abs=1e-6)
    assert study["final_accuracy_ci95"] == pytest.approx(quantile(1) * statistics.stdev(finals) / 2**0.5, abs=1e-6)
    assert (slow["runs"], slow["final_accuracy_std"], slow["late_updates_mean"]) == (1, None, 1)
    assert (slow["final_accuracy_ci95"], slow["reached_target"]) == (None, 1)
    assert slow["mean_compute_seconds_mean"] > 2 * study["mean_compute_seconds_mean"]
    assert {"setting": "name", "values": {"study": "study", "slow": "slow"}} in compared["differences"]


def test_groupings(runs: list[Path], tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", clients=3, rounds=10)  # the same name, another experiment
    folders = [runs[0], other]
    repeated = [*runs[:2], write_run(tmp_path / "again", clients=3, rounds=10), other]
    assert [run["group"] for run in compare_runs(repeated)["runs"]] == ["study", "study", "study #2", "study #2"]
    assert [run["group"] for run in compare_runs(folders)["runs"]] == ["quick-1", "other"]
    assert [run["group"] for run in compare_runs(folders, grouping="name")["runs"]] == ["study", "study"]
    assert [run["group"] for run in compare_runs(folders, grouping="run")["runs"]] == ["quick-1", "other"]


def test_runs_without_their_experiment_are_grouped_by_its_file_or_name(runs: list[Path]) -> None:
    (runs[1] / "inputs" / "experiment.json").unlink()
    manifest = json.loads((runs[0] / "manifest.json").read_text(encoding="utf-8"))
    (runs[1] / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert [run["group"] for run in compare_runs(runs[:2])["runs"]] == ["study", "study"]


def of_sweep(folder: Path, seed: int, target: float | None = None, **values: object) -> Path:
    """A run of a sweep, which had these values in place of the file's."""
    write_run(folder, seed=seed, rounds=5)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    keys = {f"data.{key}": value for key, value in values.items()}
    manifest |= {"sweep": "mine", "overrides": {**keys, "seed": seed}, "spec_sha256": folder.name}
    manifest["policies"] = {"target": target}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    inputs = json.loads((folder / "inputs" / "experiment.json").read_text(encoding="utf-8"))
    # Another factor would make another experiment, were it not the same point of one sweep.
    inputs["experiment"] |= {"data": keys, "cpu_factor": 1 / seed, "overrides": [{"key": "seed", "value": seed}]}
    (folder / "inputs" / "experiment.json").write_text(json.dumps(inputs), encoding="utf-8")
    return folder


def test_runs_of_a_sweep_are_grouped_by_point_and_named_after_what_differs(tmp_path: Path) -> None:
    folders = [
        of_sweep(tmp_path / f"p{number}-s{seed}", seed, target=0.5, alpha=alpha, split=split, layout="flat")
        for seed in (1, 2)
        for number, (alpha, split) in enumerate(((0.1, "iid"), (0.1, "quantity"), (1, "quantity")))
    ]
    compared = compare_runs(folders)
    assert [(group["group"], group["runs"]) for group in compared["groups"]] == [
        ("alpha=0.1, split=iid", 2),
        ("alpha=0.1, split=quantity", 2),
        ("alpha=1, split=quantity", 2),
    ]
    assert (compared["target_accuracy"], compared["target_given"], compared["target_ends"]) == (0.5, True, True)
    assert compare_runs(folders, target=0.6)["target_ends"] is False
    for asked in ("alpha", "data.alpha"):
        groups = compare_runs(folders, grouping=asked)["groups"]
        assert [(group["group"], group["runs"]) for group in groups] == [("alpha=0.1", 4), ("alpha=1", 2)]
    elsewhere = write_run(tmp_path / "elsewhere", rounds=5, experiment="other")
    names = [run["group"] for run in compare_runs([*folders[:2], elsewhere])["runs"]]
    assert names == ["study: split=iid", "study: split=quantity", "other"], "what it never varied says nothing of it"
    with pytest.raises(FedsimError, match=r"choose one of spec, name, run, or keys of the grid: data\.alpha, data"):
        compare_runs(folders, grouping="alpha,colour")


def test_a_key_that_may_mean_two_is_refused(tmp_path: Path) -> None:
    folders = [
        of_sweep(tmp_path / str(lr), 1, **{"train.lr": lr, "personal.lr": 1 - lr, "lr.decay": lr}) for lr in (0.1, 0.2)
    ]
    with pytest.raises(FedsimError, match=r"--group lr: may mean each of data.train.lr, data.personal.lr: write the"):
        compare_runs(folders, grouping="lr")
    groups = compare_runs(folders, grouping="train.lr")["groups"]
    assert [group["group"] for group in groups] == ["lr=0.1", "lr=0.2"]


def test_the_interval_of_a_mean() -> None:
    # Tables of Student's t, 0.975.
    assert [round(quantile(freedom), 3) for freedom in (1, 2, 4, 9, 29)] == [12.706, 4.303, 2.776, 2.262, 2.045]
    assert half_width([1.0, 2.0, 3.0]) == pytest.approx(4.30265 / 3**0.5, rel=1e-5)
    assert half_width([0.5, 0.5]) == 0


def test_time_to_a_target(runs: list[Path]) -> None:
    compared = compare_runs(runs)
    best = min(run["best_accuracy"] for run in compared["runs"])
    assert compared["target_accuracy"] <= best < compared["target_accuracy"] + 0.01
    for run in compared["runs"]:
        first = next(point for point in run["curve"] if point["accuracy"] >= compared["target_accuracy"])
        assert (run["rounds_to_target"], run["seconds_to_target"]) == (first["round"], first["elapsed_seconds"])
        messages = first["round"] * 4 * 2 - run["late_updates"]  # the record of a late update has no size here
        assert run["bytes_to_target"] == messages * MODEL_BYTES and run["device_seconds_to_target"] > 0
    missed = compare_runs(runs, target=0.999)
    assert [run["seconds_to_target"] for run in missed["runs"]] == [None, None, None]
    assert missed["groups"][0]["seconds_to_target_mean"] is None


def test_what_cannot_be_compared_is_noted(runs: list[Path]) -> None:
    files = runs[2] / "inventory" / "device_files" / "local.json"
    files.write_text(
        files.read_text(encoding="utf-8").replace('"cpu_factor": 0.05', '"cpu_factor": 0.5'), encoding="utf-8"
    )
    assert any("different cpu factors (0.05, 0.5)" in note for note in compare_runs(runs)["notes"])


def test_a_failed_run_counts_with_what_it_has(runs: list[Path], tmp_path: Path) -> None:
    journal = runs[0] / "journal.jsonl"
    journal.write_text("\n".join(journal.read_text(encoding="utf-8").splitlines()[:10]) + "\n", encoding="utf-8")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "plan.json").write_text("{}", encoding="utf-8")
    compared = compare_runs([*runs, empty])
    assert compared["runs"][0]["status"] == compared["runs"][3]["status"] == "failed"
    assert compared["runs"][3]["final_accuracy"] is None
    assert any(note.startswith("not finished: quick-1, empty") for note in compared["notes"])


@pytest.mark.drawing
def test_the_verb_compares(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {path: path.stat().st_mtime_ns for run in runs for path in run.rglob("*")}
    assert call(["report", *map(str, runs), "--target", "0.8", "--figures"]) == 0
    assert {path: path.stat().st_mtime_ns for run in runs for path in run.rglob("*")} == before, "runs are only read"
    (folder,) = tmp_path.glob("comparison-*")
    shown = capsys.readouterr().out
    assert "to 0.8" in shown
    assert f"{folder.name}/comparison.html" in shown
    compared = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    with (folder / "comparison.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["final_accuracy"]) for row in rows] == [run["final_accuracy"] for run in compared["runs"]]
    with (folder / "comparison-groups.csv").open(encoding="utf-8", newline="") as stream:
        assert [row["group"] for row in csv.DictReader(stream)] == ["study", "slow"]
    page = (folder / "comparison.html").read_text(encoding="utf-8")
    assert "0.8" in page and "://" not in page.replace("http://www.w3.org/", "")
    assert (folder / "figures" / "accuracy.pdf").exists()


@pytest.mark.drawing
def test_the_verb_writes_one_run_again(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["report", str(runs[0])]) == 0
    assert str(runs[0] / "report.html") in capsys.readouterr().out
    report = json.loads((runs[0] / "report.json").read_text(encoding="utf-8"))
    # What only the control node knew is kept.
    report.update(status="interrupted", reason="interrupted in stage course", notes=["noted once"])
    (runs[0] / "report.json").write_text(json.dumps(report), encoding="utf-8")
    assert call(["report", str(runs[0])]) == 0
    again = json.loads((runs[0] / "report.json").read_text(encoding="utf-8"))
    assert (again["status"], again["reason"], again["notes"]) == ("interrupted", report["reason"], ["noted once"])


@pytest.mark.drawing
def test_another_folder_leaves_the_run_as_it_is(runs: list[Path], tmp_path: Path) -> None:
    assert call(["report", str(runs[0]), "--output", str(tmp_path / "out")]) == 0
    assert not (runs[0] / "report.html").exists()
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"report.html", "report.json", "device_rounds.csv"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere/r"], "there is no such run folder"),
        (["no-such-run"], "no run of this name is known here"),
        (["No Run"], "is not a run name"),
        (["."], "not a run folder"),
        (["{run}", "{other}", "--group", "colour"], "choose one of spec, name, run"),
        (["{run}", "{other}", "--target", "7"], "--target"),
        (["{run}", "--output", "{run}/journal.jsonl"], "journal.jsonl"),
        ([], "RUN"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    arguments: list[str],
    message: str,
    runs: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    filled = [word.format(run=runs[0], other=runs[1]) for word in arguments]
    assert call(["report", *filled]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
