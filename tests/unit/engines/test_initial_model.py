"""The model file that a server starts with, from the experiment file to the server's inputs."""

from __future__ import annotations

import hashlib
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsim_runner.catalog.engines import engine_facts
from fedsim_runner.contract.device_file import InitialModel
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.engines.course_check import refuse_unsupported
from fedsim_runner.engines.engine_values import Course, Participant, SplitData
from fedsim_runner.engines.initial_model import InitialModelError, initial_model_file
from fedsim_runner.engines.participant_files import render_participants
from fedsim_runner.engines.protocol import engine
from fedsim_runner.inventory import build_inventory
from fedsim_runner.participant.model_file import load_model, write_model
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.runs.experiment_file import parse_experiment
from fedsim_runner.runs.inputs import keep_experiment, keep_initial_model, read_experiment
from fedsim_runner.spec.experiment import Experiment
from fedsim_runner.spec.testbed_keys import saved_model
from fedsim_runner.yamlfile.spec_errors import SpecErrors
from tests.builders import lab_host

SPEC = """
name: study
devices:
  - {type: edge-server, role: server, name: server}
  - {type: raspberry-pi, name: board, count: 2}
federatedscope:
  config:
    federate:
      total_round_num: 3
      restore_from: models/first.pt
      save_to: exp/last.pt
    model: {type: lr, out_channels: 10}
    criterion: {type: CrossEntropyLoss}
"""
LR = {"fc.weight": np.ones((10, 64), np.float32), "fc.bias": np.zeros(10, np.float32)}


def saved(folder: Path, model: dict[str, Any] | None = None) -> Path:
    path = folder / "models" / "first.pt"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(write_model(LR if model is None else model, 5))
    return path


def study(folder: Path, text: str = SPEC) -> Experiment:
    return parse_experiment(text, folder / "study.yaml")


def device_file(made: Experiment) -> dict[str, Any]:
    (found,) = build_inventory(make_plan(made, [lab_host(cpus=64)], "study")).device_files.values()
    return json.loads(json.dumps(found.as_dict()))


def test_the_server_gets_the_model_and_the_name_of_the_one_to_save(tmp_path: Path) -> None:
    path = saved(tmp_path)
    made = study(tmp_path)
    assert made.initial_model == InitialModel(str(path), hashlib.sha256(path.read_bytes()).hexdigest())
    refuse_unsupported(make_plan(made, [lab_host(cpus=64)], "study"))
    content = device_file(made)
    federate = {device["name"]: device["config"].get("federate") for device in content["devices"]}
    restored = {"save_to": "last.pt", "restore_from": "/fedsim/in/initial_model.pt"}
    assert federate == {"server": restored, "board-1": None, "board-2": None}
    render_participants(content, tmp_path / "inputs")
    assert load_model(tmp_path / "inputs" / "server" / "initial_model.pt").rounds == 5
    assert len(list((tmp_path / "inputs").glob("*/*.pt"))) == 1
    assert not render_participants(content, tmp_path / "inputs").changed
    content["course"]["initial_model"] = None
    assert render_participants(content, tmp_path / "inputs").changed
    assert not list((tmp_path / "inputs").glob("*/*.pt"))


def test_without_model_files_the_server_saves_under_the_usual_name(tmp_path: Path) -> None:
    text = SPEC.replace("      restore_from: models/first.pt\n      save_to: exp/last.pt\n", "")
    content = device_file(study(tmp_path, text))
    assert content["course"]["initial_model"] is None
    assert content["devices"][0]["config"]["federate"] == {"save_to": "model.pt"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "first.pt: there is no such file (a run leaves its model in its folder, as collected/SERVER/model.pt)"),
        (pickle.dumps(LR), "first.pt: not a model in torch's zip format"),
    ],
)
def test_a_file_that_is_no_model_is_a_mistake(content: bytes | None, reason: str, tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SpecErrors) as caught:
        study(tmp_path)
    assert "study.yaml:10: federatedscope.config.federate.restore_from: models/" in str(caught.value)
    assert reason in str(caught.value)


def test_the_light_engine_refuses_a_model_that_does_not_fit(tmp_path: Path) -> None:
    saved(tmp_path, {**LR, "fc.weight": np.ones((10, 30), np.float32)})
    with pytest.raises(FedsimError) as caught:
        refuse_unsupported(make_plan(study(tmp_path), [lab_host(cpus=64)], "study"))
    assert caught.value.exit is Exit.SPEC
    assert (
        "study.yaml:10: federatedscope.config.federate.restore_from: the file does not fit: its fc.weight has shape "
        "(10, 30), the model's has (10, 64)"
    ) in str(caught.value)


@pytest.mark.parametrize(
    ("model", "saved", "problem"),
    [
        ("lr", {"fc.weight": (10, 64), "fc.bias": (10,)}, None),
        ("lr", {"fc.weight": (10, 64), "fc.bias": (3,)}, "its fc.bias has shape (3,), the model's has (10,)"),
        ("lr", {"fc.weight": (10, 64)}, "it lacks fc.bias"),
        ("mlp", {"fc.weight": (10, 64), "fc.bias": (10,)}, "it has fc.weight, which the model does not have"),
        ("one-of-the-user", {"fc.weight": (10, 64)}, None),
    ],
)
def test_federatedscopes_server_gets_no_model_that_does_not_fit(
    model: str, saved: dict[str, tuple[int, ...]], problem: str | None
) -> None:
    config = {"model": {"type": model, "out_channels": 10}, "criterion": {"type": "CrossEntropyLoss"}}
    participants = tuple(Participant(role, role, "federatedscope", config, {}) for role in ("server", "client"))
    data = SplitData({}, 10, (64,))
    course = Course(participants, config, None, (), lambda: data, initial_model=saved)
    found = [one for one in engine("federatedscope").check_course(course) if one.path == ("federate", "restore_from")]
    assert [one.reason for one in found] == ([] if problem is None else [f"the file does not fit: {problem}"])


def test_an_engine_that_keeps_no_models_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path)
    facts = replace(engine_facts("light"), keeps_models=False)
    monkeypatch.setattr("fedsim_runner.engines.course_check.engine_facts", lambda name: facts)
    with pytest.raises(FedsimError, match=r"restore_from: engine light of server, the server, starts with no saved"):
        refuse_unsupported(make_plan(study(tmp_path), [lab_host(cpus=64)], "study"))


def test_the_collected_configuration_of_a_restored_course_names_a_devices_file(tmp_path: Path) -> None:
    with pytest.raises(SpecErrors, match=r"no such file .* the run that names it has it as inputs/initial_model\.pt"):
        study(tmp_path, SPEC.replace("models/first.pt", "/fedsim/in/initial_model.pt"))


@pytest.mark.parametrize(
    ("config", "name"),
    [({}, "model.pt"), ({"federate": {"save_to": "/fedsim/out/last.pt"}}, "last.pt"), ({"federate": None}, "model.pt")],
)
def test_the_name_of_the_saved_model(config: dict[str, Any], name: str) -> None:
    assert saved_model(config) == name


def test_a_file_that_changes_after_it_was_checked_is_not_used(tmp_path: Path) -> None:
    saved(tmp_path)
    made = study(tmp_path)
    saved(tmp_path, {**LR, "fc.bias": np.ones(10, np.float32)})
    assert made.initial_model is not None
    with pytest.raises(InitialModelError, match="has changed since it was checked"):
        initial_model_file(made.initial_model)


def test_a_run_folder_keeps_the_model(tmp_path: Path) -> None:
    path = saved(tmp_path)
    (tmp_path / "run").mkdir()
    made = keep_initial_model(study(tmp_path), tmp_path / "run")
    keep_experiment(made, 1.0, tmp_path / "run")
    path.unlink()
    (tmp_path / "run").rename(tmp_path / "moved")
    again = read_experiment(tmp_path / "moved")
    assert again.initial_model is not None
    assert again.initial_model.path == str(tmp_path / "moved" / "inputs" / "initial_model.pt")
    assert initial_model_file(again.initial_model)
    # A repetition keeps the same, and nothing of a place.
    (tmp_path / "second").mkdir()
    keep_experiment(keep_initial_model(again, tmp_path / "second"), 1.0, tmp_path / "second")
    one, two = ((tmp_path / name / "inputs" / "experiment.json").read_text() for name in ("moved", "second"))
    assert one == two
    assert str(tmp_path) not in one
    (tmp_path / "moved" / "inputs" / "initial_model.pt").unlink()
    with pytest.raises(FedsimError, match=r"it has no inputs/initial_model\.pt"):
        read_experiment(tmp_path / "moved")


def test_a_run_folder_from_somebody_else_names_no_file_of_its_reader(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / "run").mkdir()
    keep_experiment(keep_initial_model(study(tmp_path), tmp_path / "run"), 1.0, tmp_path / "run")
    path = tmp_path / "run" / "inputs" / "experiment.json"
    path.write_text(path.read_text().replace("inputs/initial_model.pt", "/etc/passwd"))
    read = read_experiment(tmp_path / "run")
    assert read.initial_model is not None
    assert read.initial_model.path == str(tmp_path / "run" / "inputs" / "initial_model.pt")


def test_an_up_without_it_removes_what_an_earlier_one_kept(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / "run").mkdir()
    keep_initial_model(study(tmp_path), tmp_path / "run")
    keep_initial_model(replace(study(tmp_path), initial_model=None), tmp_path / "run")
    assert not list((tmp_path / "run").glob("inputs/*.pt"))
