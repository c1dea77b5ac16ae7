"""A run folder from Python: recorded runs of 0.1.0, and what may not be trusted in a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fedsim_runner.api import FedsimError, Run, compare, load_model, open_run, save_model

RECORDED = Path(__file__).parents[2] / "data" / "runs-0.1.0"


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A copy of a recorded run's folder."""
    return shutil.copytree(RECORDED / "light", tmp_path / "light")


def give_model(folder: Path, name: str = "model.pt") -> Path:
    """Have a recorded run save a model under this name, as today's do; return the folder of the server's outputs."""
    (path,) = (folder / "inventory" / "device_files").glob("*.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    server = next(device for device in content["devices"] if device["role"] == "server")
    server["config"]["federate"] = {"save_to": name}
    path.write_text(json.dumps(content), encoding="utf-8")
    return folder / "collected" / str(server["name"])


def test_a_recorded_run_as_rows(recorded: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in recorded.rglob("*")}
    run = open_run(recorded)
    assert run.status == "finished"
    assert run.reason is None
    written = json.loads((recorded / "report.json").read_text(encoding="utf-8"))
    assert run.name == written["run"]
    assert run.rounds.column("test_acc") == [entry["test_acc"] for entry in written["rounds"]]
    assert run.final["test_acc"] == written["final"]["test_acc"]
    assert run.devices.column("device") == list(written["devices"])
    assert {update["device"] for update in run.updates} == set(run.devices.where(role="client").column("device"))
    assert run.updates.columns[:3] == ("round", "device", "update")
    assert sum(run.labels.column("samples")) > 0
    assert 0.5 in run.targets.column("accuracy")
    assert list(run.client_results) == run.report["client_results"]
    assert list(run.hosts) == run.report["hosts"]
    assert {sample["device"] for sample in run.samples} == set(written["devices"])
    assert all(isinstance(sample["memory_bytes"], float) for sample in run.samples)
    assert [event["event"] for event in run.events].count("evaluated") >= len(run.rounds)
    assert run.manifest["run"] == run.name
    assert run.log("server")
    assert {path: path.stat().st_mtime_ns for path in recorded.rglob("*")} == before


def test_a_run_of_before_has_no_model(recorded: Path) -> None:
    with pytest.raises(FedsimError, match=r"saved no model: only fedsim-runner from 0\.2\.0 on does"):
        open_run(recorded).model()


def test_the_model_is_where_the_server_left_it(recorded: Path) -> None:
    outputs = give_model(recorded, "last.pt")
    with pytest.raises(FedsimError, match=r"\(finished\) has no collected/.*/last\.pt"):
        open_run(recorded).model()
    left_out = [f"collected/{outputs.name}/last.pt: 300000000 bytes are more than 268435456"]
    (recorded / "left_out.json").write_text(json.dumps(left_out), encoding="utf-8")
    with pytest.raises(FedsimError, match=r"/last\.pt, which was not collected: 300000000 bytes are more than"):
        open_run(recorded).model()
    save_model(outputs / "last.pt", {"fc.bias": [0.5, 1.5]}, rounds=4)
    model = open_run(recorded).model()
    assert (model.rounds, model.parameters["fc.bias"].tolist()) == (4, [0.5, 1.5])
    with pytest.raises(ValueError, match="read-only"):
        model.parameters["fc.bias"][0] = 9


@pytest.mark.parametrize("name", ["../../../secret.pt", "/etc/secret.pt", ".."])
def test_a_folder_from_somebody_else_cannot_name_files_outside(name: str, recorded: Path) -> None:
    give_model(recorded, name)
    with pytest.raises(FedsimError, match=r"saved no model|not a|no such file"):
        open_run(recorded).model()


def test_models_come_back_as_they_were_saved(tmp_path: Path) -> None:
    path = save_model(tmp_path / "one.pt", {"a": np.eye(3), "n": np.asarray(7)}, rounds=2)
    model = load_model(path)
    np.testing.assert_array_equal(model.parameters["a"], np.eye(3))
    assert (model.rounds, int(model.parameters["n"])) == (2, 7)
    for attempt, reason in (
        (lambda: load_model(tmp_path / "gone.pt"), r"gone\.pt: there is no such file"),
        (lambda: save_model(tmp_path / "one.pt", {"a": np.array(["x"])}), "no arrays of"),
        (lambda: save_model(tmp_path / "nowhere" / "one.pt", {"a": np.eye(3)}), "cannot be written"),
    ):
        with pytest.raises(FedsimError, match=reason):
            attempt()


def test_what_is_no_run_is_refused(tmp_path: Path, recorded: Path) -> None:
    for name in (tmp_path, tmp_path / "gone", "no-such-run"):
        with pytest.raises(FedsimError, match="there is no such run, or it is not a run folder"):
            open_run(name)
    (recorded / "journal.jsonl").unlink()
    (recorded / "journal.jsonl").symlink_to("/etc/passwd")
    with pytest.raises(FedsimError, match="is a link"):
        open_run(recorded)


def test_an_unknown_figure_or_device_is_named(recorded: Path) -> None:
    run = Run(recorded)
    with pytest.raises(FedsimError, match="has no device nobody"):
        run.log("nobody")
    with pytest.raises(FedsimError, match="no runs to compare"):
        compare([])


@pytest.mark.drawing
def test_the_reports_figures(recorded: Path, tmp_path: Path) -> None:
    run = open_run(recorded)
    assert {"accuracy", "timeline", "bytes"} <= set(run.figures)
    plot = run.plot("accuracy")
    assert plot.title == "Accuracy"
    assert plot._repr_svg_().startswith("<svg")
    # Two runs in one notebook must not share ids.
    assert f'id="run-{run.name}-accuracy-' in plot._repr_svg_()
    for suffix, begin in (("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")):
        assert plot.save(tmp_path / f"accuracy.{suffix}").read_bytes().startswith(begin)
    for attempt, reason in (
        (lambda: run.plot("accurracy"), "there is no figure 'accurracy'; there are accuracy, "),
        (lambda: plot.save(tmp_path / "a.txt"), "not supported"),
        (lambda: plot.save(tmp_path / "nowhere" / "a.pdf"), "No such file"),
    ):
        with pytest.raises(FedsimError, match=reason):
            attempt()


@pytest.mark.drawing
def test_several_runs(recorded: Path) -> None:
    compared = compare([open_run(recorded), open_run(RECORDED / "mends")], grouping="run", target=0.5)
    assert len(compared.runs) == len(compared.groups) == 2
    assert compared.runs.column("status") == ["finished", "finished"]
    assert "curve" not in compared.runs.columns
    assert compared.data["target_accuracy"] == 0.5
    assert "accuracy" in compared.figures
    assert compared.plot("accuracy")._repr_svg_().startswith("<svg")
