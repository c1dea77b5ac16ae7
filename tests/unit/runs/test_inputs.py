"""What a run folder keeps of its experiment, and how an incomplete folder is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.runs.experiment_file import load_experiment
from fedsim_runner.runs.inputs import keep_dockerfiles, keep_experiment, keep_wheel, kept_wheel, read_experiment
from fedsim_runner.spec.experiment import Experiment
from tests.builders import device_type, experiment

OWN = """\
name: own
device_types:
  cam: {based_on: iot-minimal, dockerfile: ./boards/cam}
devices:
  - {name: server, type: edge-server, role: server}
  - {name: cam, type: cam, count: 2, network: 5g}
course: {on_client_failure: continue, min_clients: 2}
federatedscope:
  config_file: tree.yaml
  patches: {lost_join: false}
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """An experiment file with its own Dockerfile and configuration next to it."""
    (tmp_path / "boards" / "cam").mkdir(parents=True)
    (tmp_path / "boards" / "cam" / "Dockerfile").write_text("FROM x\n", encoding="utf-8")
    (tmp_path / "boards" / "cam" / "tool.sh").write_text("true\n", encoding="utf-8")
    (tmp_path / "tree.yaml").write_text("federate: {total_round_num: 3}\nmodel: {type: lr}\n", encoding="utf-8")
    path = tmp_path / "own.yaml"
    path.write_text(OWN, encoding="utf-8")
    return path


def kept(made: Experiment, folder: Path, cpu_factor: float = 0.5) -> Path:
    folder.mkdir()
    keep_experiment(keep_dockerfiles(made, folder), cpu_factor, folder)
    return folder


def test_a_moved_folder_gives_the_same_experiment(own: Path, tmp_path: Path) -> None:
    made = load_experiment(own)
    folder = kept(made, tmp_path / "run")
    moved = tmp_path / "moved"
    folder.rename(moved)
    for path in (own, own.parent / "tree.yaml", own.parent / "boards" / "cam" / "Dockerfile"):
        path.unlink()
    read = read_experiment(moved)
    dockerfiles = {device.type.dockerfile for device in read.clients}
    assert dockerfiles == {str(moved / "inputs" / "dockerfiles" / "cam")}
    assert (moved / "inputs" / "dockerfiles" / "cam" / "tool.sh").read_text(encoding="utf-8") == "true\n"
    here = str(own.parent / "boards" / "cam")
    back = [
        replace(device, type=replace(device.type, dockerfile=here)) if "/" in device.type.dockerfile else device
        for device in read.devices
    ]
    assert replace(read, devices=tuple(back), cpu_factor=None, path=own) == made
    assert read.cpu_factor == 0.5
    assert (moved / "experiment.yaml").read_text(encoding="utf-8") == OWN


def test_a_repetition_of_a_repetition_is_the_same_again(own: Path, tmp_path: Path) -> None:
    first = kept(load_experiment(own), tmp_path / "first")
    (first / "participants").mkdir()
    read = read_experiment(first)
    assert read.data.rendered == str(first / "participants")
    second = kept(read, tmp_path / "second")
    text = (second / "inputs" / "experiment.json").read_text(encoding="utf-8")
    assert text == (first / "inputs" / "experiment.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in text


def test_a_second_up_copies_the_current_dockerfiles(own: Path, tmp_path: Path) -> None:
    folder = kept(load_experiment(own), tmp_path / "run")
    (own.parent / "boards" / "cam" / "tool.sh").unlink()
    (own.parent / "boards" / "cam" / "Dockerfile").write_text("FROM y\n", encoding="utf-8")
    keep_dockerfiles(load_experiment(own), folder)
    copies = folder / "inputs" / "dockerfiles" / "cam"
    assert [path.name for path in copies.iterdir()] == ["Dockerfile"]
    assert (copies / "Dockerfile").read_text(encoding="utf-8") == "FROM y\n"


def test_two_dockerfile_folders_of_the_same_name_are_refused(tmp_path: Path) -> None:
    made = experiment(client=device_type(dockerfile="/a/cam"), server=device_type("edge", dockerfile="/b/cam"))
    with pytest.raises(FedsimError, match="/a/cam and /b/cam: images are named after the folder"):
        keep_dockerfiles(made, tmp_path)


@pytest.mark.parametrize("runs", ["runs/mine", "mine"])
def test_runs_inside_the_dockerfile_folder_are_left_out(runs: str, tmp_path: Path) -> None:
    folder = tmp_path / "cam" / runs
    folder.mkdir(parents=True)
    (tmp_path / "cam" / "Dockerfile").write_text("FROM x\n", encoding="utf-8")
    keep_dockerfiles(experiment(client=device_type(dockerfile=str(tmp_path / "cam"))), folder)
    assert [path.name for path in (folder / "inputs" / "dockerfiles" / "cam").iterdir()] == ["Dockerfile"]


def test_a_missing_dockerfile_folder_is_named(tmp_path: Path) -> None:
    made = experiment(client=device_type(dockerfile=str(tmp_path / "gone")))
    with pytest.raises(FedsimError, match=r"gone cannot be copied into the run folder: .*No such file"):
        keep_dockerfiles(made, tmp_path)


def test_one_wheel_is_kept(tmp_path: Path) -> None:
    for name in ("federatedscope-1-py3-none-any.whl", "federatedscope-2-py3-none-any.whl"):
        wheel = tmp_path / name
        wheel.write_bytes(name.encode())
        keep_wheel(wheel, tmp_path / "run")
    found = kept_wheel(tmp_path / "run")
    assert found is not None
    assert found.name == "federatedscope-2-py3-none-any.whl"
    keep_wheel(found, tmp_path / "run")
    assert found.exists()
    assert len(list(found.parent.iterdir())) == 1


def _no_inputs(folder: Path) -> None:
    (folder / "inputs" / "experiment.json").unlink()


def _no_file(folder: Path) -> None:
    (folder / "experiment.yaml").unlink()


def _broken(folder: Path) -> None:
    (folder / "inputs" / "experiment.json").write_text("{", encoding="utf-8")


def _endless(folder: Path) -> None:
    (folder / "inputs" / "experiment.json").write_text("[" * 200_000, encoding="utf-8")


def _folder_for_file(folder: Path) -> None:
    (folder / "experiment.yaml").unlink()
    (folder / "experiment.yaml").mkdir()


def _no_object(folder: Path) -> None:
    (folder / "inputs" / "experiment.json").write_text("[]", encoding="utf-8")


def _newer(folder: Path) -> None:
    (folder / "inputs" / "experiment.json").write_text('{"version": 99}', encoding="utf-8")


def _without_devices(folder: Path) -> None:
    path = folder / "inputs" / "experiment.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["experiment"]["devices"]
    path.write_text(json.dumps(content), encoding="utf-8")


def _no_dockerfile(folder: Path) -> None:
    (folder / "inputs" / "dockerfiles" / "cam" / "Dockerfile").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_no_inputs, "it has no inputs/experiment.json"),
        (_no_file, "it has no experiment.yaml"),
        (_broken, "experiment.json is damaged"),
        (_endless, "experiment.json is damaged"),
        (_folder_for_file, "cannot be run again: .*experiment.yaml: Is a directory"),
        (_no_object, "has version None"),
        (_newer, "has version 99"),
        (_without_devices, "is damaged: devices: "),
        (_no_dockerfile, "it has no .*cam"),
    ],
)
def test_an_incomplete_folder_is_refused(
    damage: Callable[[Path], None], message: str, own: Path, tmp_path: Path
) -> None:
    folder = kept(load_experiment(own), tmp_path / "run")
    damage(folder)
    with pytest.raises(FedsimError, match=message) as caught:
        read_experiment(folder)
    assert caught.value.exit is Exit.SPEC
