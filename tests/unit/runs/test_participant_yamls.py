"""An experiment file around one FederatedScope YAML per participant."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from fedsim_runner.cli.entry import call
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.engines.federatedscope import data_loader
from fedsim_runner.engines.federatedscope.source import SOURCE_VARIABLE
from fedsim_runner.runs.experiment_file import load_experiment
from fedsim_runner.runs.new_experiment import NewExperiment, experiment_around
from fedsim_runner.spec.experiment import Experiment

# As FederatedScope's scripts/distributed_scripts have them.
TEXT = """
use_gpu: True
federate: {{client_num: 2, mode: distributed, total_round_num: {rounds}, make_global_eval: {evaluates}}}
distribute: {{use: True, server_host: 127.0.0.1, client_port: {port}, role: {role}, data_idx: {part}}}
data: {{type: file, file_path: {path}{data}}}
model: {{type: lr}}
{more}
"""
SPLIT = {"x": [[0.5, 1.0]], "y": [[2.0]]}


def participant(number: int, path: str = "toy_data/all_data", more: str = "", **changes: object) -> str:
    role = "client" if number else "server"
    values = {"rounds": 20, "evaluates": not number, "role": role, "part": number, "data": "", **changes}
    return TEXT.format(path=path, port=50051 + number, more=more, **values)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder; no source of FederatedScope is at hand."""
    monkeypatch.setenv(SOURCE_VARIABLE, "federatedscope==0.3.0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy_data").mkdir()
    one = {"train": SPLIT, "val": SPLIT, "test": SPLIT}
    for name, content in (("all_data", {0: one, 1: one, 2: one, 7: one}), ("server_data", one), ("a", one), ("b", one)):
        (tmp_path / "toy_data" / name).write_bytes(pickle.dumps(content))
    return tmp_path


def made(folder: Path, *texts: str) -> tuple[NewExperiment, Experiment]:
    """What is written, and how it is read."""
    paths = [Path(f"{number}.yaml") for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    written = experiment_around(paths, None, None, folder)
    (folder / "made.yaml").write_text(written.text, encoding="utf-8")
    for path, data in written.made_up.items():
        data.write(path)
    return written, load_experiment(folder / "made.yaml")


@pytest.mark.process
def test_the_files_of_a_course_are_all_that_init_needs(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    python = folder / "python"  # finds every module
    python.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    python.chmod(0o755)
    monkeypatch.setattr(data_loader, "interpreter", lambda: str(python))
    for number, name in enumerate(("client_1", "server", "client_2")):
        (folder / f"{name}.yaml").write_text(participant({0: 1, 1: 0, 2: 2}[number]), encoding="utf-8")
    files = ["client_1.yaml", "server.yaml", "client_2.yaml"]
    assert call(["init", *files, "-o", "study.yaml"]) == Exit.DONE
    assert "fedsim-provision study.yaml runs it" in capsys.readouterr().out
    study = load_experiment(folder / "study.yaml")
    assert (study.total_rounds, study.config["federate"]["make_global_eval"]) == (20, True)
    assert [device.name for device in study.clients] == ["client-1", "client-2"]
    text = (folder / "study.yaml").read_text(encoding="utf-8")
    assert "config_file: server.yaml" in text and "# client_2.yaml" in text
    assert (study.data.dataset, study.data.parts) == ("federatedscope", {})
    # None of them is replaced.
    assert call(["init", *files, "--force", "-o", "client_2.yaml"]) == Exit.SPEC
    assert call(["init", *files, "--clients", "3", "-o", "new.yaml"]) == Exit.SPEC
    assert "--clients is for one configuration" in capsys.readouterr().err


def test_what_differs_goes_to_the_devices(folder: Path) -> None:
    flops = "eval: {count_flops: false}"
    written, study = made(
        folder,
        participant(
            0, "toy_data/server_data", "train: {optimizer: {lr: 0.5, weight_decay: 0.1}}\ngrad: {grad_clip: 5.0}"
        ),
        participant(
            1, "toy_data/a", f"train: {{optimizer: {{lr: 0.5, weight_decay: 0.1}}}}\ngrad: {{grad_clip: 5}}\n{flops}"
        ),
        participant(2, "toy_data/b", "train: {optimizer: {lr: 0.01}}", data=", batch_size: 8", part=-1),
    )
    first, second = study.clients
    assert first.config == {"eval": {"count_flops": False}}
    # What its file does not say is FederatedScope's default, where there is one, not the server's.
    assert second.config == {
        "train": {"optimizer": {"lr": 0.01}}, "dataloader": {"batch_size": 8}, "grad": {"grad_clip": -1.0}
    }  # fmt: skip
    assert "train.optimizer.weight_decay of 0.yaml holds for 2.yaml as well, where it is not written" in written.remarks
    paths = {name: Path(part["data"]["file_path"]).name for name, part in study.data.parts.items()}
    assert paths == {"client-1": "a", "client-2": "b"}
    assert study.data.tree is not None and study.data.tree["file_path"] == str(folder / "toy_data" / "server_data")
    assert any("make_global_eval: 0.yaml decides, true; 1.yaml and 2.yaml have false" in one for one in written.remarks)


def test_a_server_without_data(folder: Path) -> None:
    server = participant(0).replace("type: file, file_path: toy_data/all_data", "type: ''")
    written, study = made(
        folder, server.replace("{type: lr}", "{type: lr, input_shape: (5,)}"), *map(participant, (1, 2))
    )
    assert "config: {data: {type: file, file_path: toy_data/all_data}}" in written.text
    assert study.data.tree is not None and study.data.tree["type"] == "file"
    assert not any(device.config for device in study.clients)
    _, study = made(folder, server, participant(1, "toy_data/a"), participant(2, "toy_data/b"))
    assert study.data.tree is not None and "file_path" not in study.data.tree
    assert set(study.data.parts) == {"client-1", "client-2"}
    _, study = made(folder, participant(0, "toy_data/server_data"), *map(participant, (1, 2)))
    assert study.data.parts == {"server": {"data": {"file_path": str(folder / "toy_data" / "server_data")}}}


def test_numbers_of_parts(folder: Path) -> None:
    _, study = made(folder, participant(0, part=1), participant(1, part=7), participant(2, part=2))
    assert {name: part["distribute"]["data_idx"] for name, part in study.data.parts.items()} == {
        "server": 1, "client-1": 7
    }  # fmt: skip
    toy = "type: toy"
    texts = (participant(0), participant(1, part=2), participant(2, part=3))
    written, study = made(folder, *(text.replace("type: file, file_path: toy_data/all_data", toy) for text in texts))
    assert {name: part["distribute"]["data_idx"] for name, part in study.data.parts.items()} == {
        "client-1": 2, "client-2": 1
    }  # fmt: skip
    assert any("client 2 gets part 1 of the data: its data_idx 3 is none of 1 to 2" in one for one in written.remarks)


def test_nothing_is_lost_silently(folder: Path) -> None:
    paths = []
    for number, text in enumerate((
        participant(0, more="own: {speed: 3}\nseed: 5"),
        participant(1, rounds=1, more="own: {speed: 3}\nseed: 6"),
        participant(2, more="seed: 5"),
        participant(2, part=7, more="own: {speed: 4}\nseed: 5"),
    )):  # fmt: skip
        paths.append(Path(f"{number}.yaml"))
        paths[-1].write_text(text, encoding="utf-8")
    written = experiment_around(paths, None, None, folder)
    for remark in (
        "federate.client_num of 0.yaml is 2: the course has 3 clients, one for each file",
        "federate.total_round_num: 0.yaml decides, 20; 1.yaml has 1, which no client reads",
        "the testbed sets seed: what the clients' files say there is not used",
        "own.speed of 0.yaml holds for 2.yaml as well, where it is not written",
    ):
        assert remark in written.remarks and f"# {remark}" in written.text
    assert "federatedscope: {own: {speed: 4}, distribute: {data_idx: 7}}" in written.text


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (
            (participant(0), participant(1, more="federate2: 1").replace("mode:", "method: Ditto, mode:")),
            "1.yaml:3: federate.method: holds for all participants, and 0.yaml has FedAvg",
        ),
        (
            (participant(0), participant(1), participant(2, data=", subsample: 0.5")),
            "2.yaml:5: data.subsample: is 0.5, and in 1.yaml 1.0 (write the same in all files",
        ),
        ((participant(0), participant(0), participant(1)), "1.yaml:4: distribute.role: a second server after 0.yaml"),
        ((participant(0), participant(1, role="peer")), "1.yaml:4: distribute.role: must be server or client"),
        ((participant(0), participant(1, part="'1'")), "1.yaml:4: distribute.data_idx: must be a whole number"),
        ((participant(0), participant(1, "''"), participant(2)), "1.yaml:5: data.file_path: must be the path of"),
        ((participant(1), participant(2)), "none of these files has distribute.role: server"),
        ((participant(0), participant(0, role="server")), "none of these files has distribute.role: client"),
        ((participant(0), participant(1, more="grad: {grad_clip: yes}")), "1.yaml:7: grad.grad_clip: is the text"),
    ],
)  # fmt: skip
def test_contradictions_are_named(folder: Path, texts: tuple[str, ...], expected: str) -> None:
    with pytest.raises(FedsimError) as caught:
        made(folder, *texts)
    assert expected in str(caught.value)
    assert caught.value.exit is Exit.SPEC


def test_one_file_is_one_participant(folder: Path) -> None:
    (folder / "a.yaml").write_text(participant(0), encoding="utf-8")
    with pytest.raises(FedsimError, match=r"a\.yaml is given twice"):
        experiment_around([Path("a.yaml")] * 2, None, None, folder)


def test_a_data_set_that_is_not_at_hand_takes_its_parts_along(folder: Path) -> None:
    texts = (participant(0, part=1), participant(1, part=2), participant(2, part=3))
    written, study = made(
        folder, *(text.replace("type: file, file_path: toy_data/all_data", "type: femnist") for text in texts)
    )
    assert (study.data.dataset, study.data.parts) == ("npz", {})
    (_, remark) = written.remarks
    assert remark.endswith("and have init write again which part each device gets")
