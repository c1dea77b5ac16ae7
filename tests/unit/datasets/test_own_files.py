"""The user's own files, from the experiment file to the shards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsim_runner.datasets.own_files import load_own
from fedsim_runner.engines.participant_files import render_participants
from fedsim_runner.inventory import build_inventory
from fedsim_runner.lab.host import LabHost
from fedsim_runner.plan.placement import make_plan
from fedsim_runner.runs.experiment_file import parse_experiment
from fedsim_runner.yamlfile.spec_errors import SpecErrors

SPEC = """\
name: own
seed: 5
devices:
  - {{name: server, type: edge-server, role: server}}
  - {{name: pi, type: raspberry-pi, count: {clients}}}
data: {{{data}}}
federatedscope: {{config: {{federate: {{total_round_num: 3}}, model: {{type: {model}}}, criterion: {{{criterion}}}}}}}
"""
CLASSES, NUMBERS = "type: CrossEntropyLoss", "type: MSELoss"
Planner = Callable[..., dict[str, Any]]


@pytest.fixture
def planned(tmp_path: Path) -> Planner:
    """Plan an experiment whose file is in the test's folder, and return its device file."""

    def plan(data: str, clients: int = 3, model: str = "lr", criterion: str = "") -> dict[str, Any]:
        text = SPEC.format(data=data, clients=clients, model=model, criterion=criterion)
        spec = parse_experiment(text, tmp_path / "x.yaml")
        host = LabHost("lab", 64, 2**40, "amd64")
        return build_inventory(make_plan(spec, [host], "own")).device_files["lab"].as_dict()

    return plan


def mistakes_in(planned: Planner, folder: Path, data: str, **options: Any) -> str:
    with pytest.raises(SpecErrors) as caught:
        planned(data, **options)
    return str(caught.value).replace(f"{folder}/", "")


def shard(folder: Path, device: str) -> dict[str, Any]:
    with np.load(folder / device / "shard.npz", allow_pickle=False) as archive:
        return {name: archive[name] for name in archive}


def table(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "labels.json").read_text(encoding="utf-8")))


def write_csv(path: Path, kinds: list[str], first: int = 0) -> None:
    path.parent.mkdir(exist_ok=True)
    rows = [f"{first + number},{number % 7},{kind}" for number, kind in enumerate(kinds)]
    path.write_text("\n".join(["number,rest,kind", *rows, ""]), encoding="utf-8")


@pytest.mark.parametrize("split", ["iid", "dirichlet", "quantity"])
def test_one_csv_file_for_all(planned: Planner, tmp_path: Path, split: str) -> None:
    write_csv(tmp_path / "d.csv", ["pear", "apple", "fig", "apple"] * 30)
    device_file = planned(f"dataset: csv, path: d.csv, split: {split}, test_fraction: 0.25")
    render_participants(device_file, tmp_path / "out")
    labels = table(tmp_path / "out")
    assert labels["classes"] == ["apple", "fig", "pear"]
    assert sum(labels["devices"]["server"]["test"].values()) == 30
    assert (labels["test_fraction"], labels["shape"]) == (0.25, [2])
    seen = {}
    for device in ("server", "pi-1", "pi-2", "pi-3"):
        arrays = shard(tmp_path / "out", device)
        for name in ("train", "val", "test") if device != "server" else ("test",):
            seen |= dict(zip(arrays[f"{name}_x"][:, 0].tolist(), arrays[f"{name}_y"].tolist(), strict=True))
    # Every row is in one of the shards, with its own label.
    assert seen == {number: [2, 0, 1, 0][number % 4] for number in range(120)}


def test_numbers_are_sorted_as_numbers(planned: Planner, tmp_path: Path) -> None:
    write_csv(tmp_path / "d.csv", ["10", "9", "2.0", "-1"] * 20)
    render_participants(planned("dataset: csv, path: d.csv"), tmp_path / "out")
    assert table(tmp_path / "out")["classes"] == ["-1", "2", "9", "10"]


def test_measurements_are_no_classes(planned: Planner, tmp_path: Path) -> None:
    write_csv(tmp_path / "d.csv", ["1", "2.5"] * 30)
    assert mistakes_in(planned, tmp_path, "dataset: csv, path: d.csv", criterion=CLASSES) == (
        'd.csv:3: column "kind": the label 2.5 is not a class '
        "(classes are whole numbers or text, and MSELoss takes any numbers; is data.label right?)"
    )
    np.savez(tmp_path / "d.npz", x=np.ones((60, 2)), y=np.arange(60) / 2)
    message = mistakes_in(planned, tmp_path, "dataset: npz, path: d.npz", criterion=CLASSES)
    assert message.startswith("d.npz: y[1]: the label 0.5 is not a class")


@pytest.mark.parametrize("criterion", ["", CLASSES])
def test_numbers_that_are_too_long_are_rejected_as_labels(planned: Planner, tmp_path: Path, criterion: str) -> None:
    write_csv(tmp_path / "d.csv", ["1", "9" * 5000] * 30)
    message = mistakes_in(planned, tmp_path, "dataset: csv, path: d.csv", criterion=criterion)
    assert "d.csv:3: " in message and f"{'9' * 40}..." in message


@pytest.mark.parametrize(
    ("kinds", "options"),
    [
        (["1", "2.5"], {}),  # not all whole: classes they cannot be
        (["1", "2"], {"criterion": NUMBERS}),
        (["1", "2"], {"criterion": "type: my_own_loss", "data": "targets: numbers"}),
        (["0", "1"], {"criterion": "type: BCEWithLogitsLoss"}),
    ],
)
def test_labels_to_regress(planned: Planner, tmp_path: Path, kinds: list[str], options: dict[str, str]) -> None:
    write_csv(tmp_path / "d.csv", kinds * 30)
    more = f", {options.pop('data')}" if "data" in options else ""
    device_file = planned(f"dataset: csv, path: d.csv, split: quantity{more}", **options)
    result = render_participants(device_file, tmp_path / "out")
    arrays = shard(tmp_path / "out", "pi-1")
    assert (arrays["train_y"].dtype, arrays["train_y"].shape[1:]) == (np.float32, (1,))
    assert set(arrays["train_y"].ravel().tolist()) <= set(map(float, kinds))
    rows = zip(arrays["train_x"][:, 0].tolist(), arrays["train_y"].ravel().tolist(), strict=True)
    assert all(target == float(kinds[int(number) % 2]) for number, target in rows)
    # There is nothing to count by class, but sizes are known.
    assert (result.labels["pi-1"], table(tmp_path / "out")["classes"]) == ({}, [])
    assert sum(table(tmp_path / "out")["sizes"]["server"].values()) == 12


@pytest.mark.parametrize(
    ("kinds", "data", "criterion", "expected"),
    [
        (
            ["1", "b"],
            "",
            NUMBERS,
            'd.csv:3: column "kind": the label "b" is not a number (the loss compares numbers; for '
            "classes write criterion: {type: CrossEntropyLoss})",
        ),
        (["1", "nan"], "", NUMBERS, 'column "kind": the label "nan" is not a number'),
        (
            ["1", "2.5"],
            ", split: dirichlet",
            "",
            "data.split: dirichlet spreads classes, and the labels are numbers (write iid or quantity)",
        ),
        (["0", "2"], "", "type: BCEWithLogitsLoss", "BCEWithLogitsLoss takes labels between 0 and 1"),
    ],
)
def test_labels_that_cannot_be_regressed(
    planned: Planner, tmp_path: Path, kinds: list[str], data: str, criterion: str, expected: str
) -> None:
    write_csv(tmp_path / "d.csv", kinds * 30)
    assert expected in mistakes_in(planned, tmp_path, f"dataset: csv, path: d.csv{data}", criterion=criterion)


def test_the_default_course_is_for_classes(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((60, 3), np.float32), y=np.arange(120.0).reshape(60, 2) + 0.5)
    text = SPEC.partition("federatedscope:")[0].format(data="dataset: npz, path: a.npz", clients=3)
    with pytest.raises(SpecErrors) as caught:
        parse_experiment(text, tmp_path / "x.yaml")
    (error,) = caught.value.errors
    assert (error.line, error.path) == (6, "data.path")
    assert error.message == "the labels are numbers to regress, and the default course classifies"


def test_targets_only_of_own_files(planned: Planner, tmp_path: Path) -> None:
    message = mistakes_in(planned, tmp_path, "dataset: digits, targets: numbers")
    assert "data.targets: means nothing with dataset: digits" in message


@pytest.mark.packages
def test_two_classes_of_a_bundled_set_as_probabilities(planned: Planner, tmp_path: Path) -> None:
    device_file = planned("dataset: breast_cancer", criterion="type: BCEWithLogitsLoss")
    render_participants(device_file, tmp_path / "out")
    targets = shard(tmp_path / "out", "server")["test_y"]
    assert (targets.dtype, set(targets.ravel().tolist())) == (np.float32, {0.0, 1.0})
    split = mistakes_in(
        planned, tmp_path, "dataset: breast_cancer, split: dirichlet", criterion="type: BCEWithLogitsLoss"
    )
    assert "data.split: dirichlet spreads classes" in split


@pytest.mark.parametrize(
    ("labels", "criterion", "kept"),
    [
        (np.arange(180).reshape(60, 3) / 2, "", np.float32),
        (np.arange(180).reshape(60, 3), NUMBERS, np.float32),
        (np.arange(240).reshape(60, 2, 2) % 3, CLASSES, np.int64),  # a class for each place
        (np.ones((60, 3)) / 3, CLASSES, np.float32),  # probabilities of the classes
    ],
)
def test_labels_of_any_shape(
    planned: Planner, tmp_path: Path, labels: Any, criterion: str, kept: type[np.generic]
) -> None:
    np.savez(tmp_path / "d.npz", x=np.arange(60)[:, None], y=labels)
    device_file = planned("dataset: npz, path: d.npz", criterion=criterion)
    render_participants(device_file, tmp_path / "out")
    arrays = shard(tmp_path / "out", "pi-2")
    assert arrays["train_y"].dtype == kept
    assert np.array_equal(arrays["train_y"], labels[arrays["train_x"][:, 0].astype(int)].astype(kept))


def test_rows_with_a_single_1_are_no_classes(planned: Planner, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.ones((60, 2)), y=np.eye(3, dtype=int)[np.arange(60) % 3])
    message = mistakes_in(planned, tmp_path, "dataset: npz, path: d.npz", criterion=CLASSES)
    assert message == (
        "d.npz: y has the shape (60, 3) and a single 1 in each row (labels are one number or text per sample: write "
        "y.argmax(axis=1))"
    )


@pytest.mark.parametrize(
    ("layout", "model", "shape", "kind"),
    [
        ("", "lstm", (5,), "int64"),
        ("", "lr", (5,), "float32"),
        ("", "something_of_mine", (5,), "float32"),
        (", layout: kept", "something_of_mine", (5,), "int64"),
        (", layout: kept", "something_of_mine", (5, 2), "int64"),
        ("", "something_of_mine", (1, 5, 2), "float32"),
    ],
)
def test_whole_numbers_stay_whole_where_they_are_kept(
    planned: Planner, tmp_path: Path, layout: str, model: str, shape: tuple[int, ...], kind: str
) -> None:
    size = (60, 5, 2) if len(shape) > 1 else (60, 5)
    samples = (np.arange(np.prod(size)) % 80).astype(np.uint8).reshape(size)
    np.savez(tmp_path / "d.npz", x=samples, y=np.arange(60) % 3)
    render_participants(planned(f"dataset: npz, path: d.npz{layout}", model=model), tmp_path / "out")
    arrays = shard(tmp_path / "out", "pi-1")
    assert (arrays["train_x"].shape[1:], arrays["train_x"].dtype) == (shape, np.dtype(kind))


def test_text_in_a_csv_file(planned: Planner, tmp_path: Path) -> None:
    write_csv(tmp_path / "d.csv", ["a", "b"] * 30)
    render_participants(planned("dataset: csv, path: d.csv", model="lstm"), tmp_path / "out")
    assert shard(tmp_path / "out", "pi-1")["train_x"].dtype == np.int64


def test_runs_of_earlier_versions_keep_their_shards(planned: Planner, tmp_path: Path) -> None:
    write_csv(tmp_path / "d.csv", ["a", "b"] * 30)
    device_file = planned("dataset: csv, path: d.csv", criterion=CLASSES)
    table_now = render_participants(device_file, tmp_path / "out").table
    del device_file["data"]["targets"]
    assert not render_participants(device_file, tmp_path / "out").changed
    assert render_participants(device_file, tmp_path / "other").table == table_now


def test_npz_with_a_test_set_is_the_servers(planned: Planner, tmp_path: Path) -> None:
    x, y = np.arange(240, dtype=np.float64).reshape(60, 2, 2), np.arange(60) % 3
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_test=x[:9] + 1000, y_test=y[:9] * 5)
    render_participants(planned("dataset: npz, path: d.npz"), tmp_path / "out")
    server, labels = shard(tmp_path / "out", "server"), table(tmp_path / "out")
    assert server["test_x"].tolist() == (x[:9] + 1000).reshape(9, 4).tolist()
    assert (labels["classes"], labels["test_fraction"]) == (["0", "1", "2", "5", "10"], None)
    assert sum(sum(labels["sizes"][f"pi-{n}"].values()) for n in (1, 2, 3)) == 60
    assert "data.test_fraction: means nothing" in mistakes_in(
        planned, tmp_path, "dataset: npz, path: d.npz, test_fraction: 0.2"
    )


@pytest.mark.parametrize(
    ("shape", "model", "expected"),
    [
        ((60, 4, 5), "lr", (20,)),
        ((60, 4, 5), "convnet2", (1, 4, 5)),
        ((60, 3, 4, 5), "convnet2", (3, 4, 5)),
        ((60, 7), "something_of_mine", (7,)),
        ((60, 7, 2), "something_of_mine", (1, 7, 2)),
    ],
)
def test_natural_shapes(
    planned: Planner, tmp_path: Path, shape: tuple[int, ...], model: str, expected: tuple[int, ...]
) -> None:
    np.savez(tmp_path / "d.npz", x=np.ones(shape), y=np.arange(60) % 3)
    render_participants(planned("dataset: npz, path: d.npz", model=model), tmp_path / "out")
    assert shard(tmp_path / "out", "pi-1")["train_x"].shape[1:] == expected


def test_images_of_the_wrong_shape(planned: Planner, tmp_path: Path) -> None:
    for name, shape in (("rows", (60, 64)), ("last", (60, 8, 8, 3))):
        np.savez(tmp_path / f"{name}.npz", x=np.ones(shape), y=np.arange(60) % 3)
    message = mistakes_in(planned, tmp_path, "dataset: npz, path: rows.npz", model="convnet2")
    assert message.endswith("samples have the shape (64,); images are (channels, height, width) or (height, width)")
    message = mistakes_in(planned, tmp_path, "dataset: npz, path: last.npz", model="vgg11")
    assert "(8, 8, 3); images are (channels, height, width) (numpy's x.transpose" in message


def test_a_file_for_each_device(planned: Planner, tmp_path: Path) -> None:
    write_csv(tmp_path / "d" / "pi-1.csv", ["a", "b"] * 10)
    write_csv(tmp_path / "d" / "pi-2.csv", ["a", "a", "c", "c"], first=100)
    render_participants(planned("dataset: csv, path: d, split: files", clients=2), tmp_path / "out")
    labels = table(tmp_path / "out")
    # A fifth of each file, at least one sample, goes to the server.
    assert labels["sizes"] == {
        "server": {"test": 5},
        "pi-1": {"train": 12, "val": 2, "test": 2},
        "pi-2": {"train": 1, "val": 1, "test": 1},
    }
    assert labels["classes"] == ["a", "b", "c"]
    own = shard(tmp_path / "out", "pi-2")
    numbers = {*own["train_x"][:, 0], *own["val_x"][:, 0], *own["test_x"][:, 0]}
    central = set(shard(tmp_path / "out", "server")["test_x"][:, 0])
    assert numbers | {number for number in central if number >= 100} == {100, 101, 102, 103}
    assert len(central - numbers) == 5


def test_a_file_for_the_server(planned: Planner, tmp_path: Path) -> None:
    for number in (1, 2):
        write_csv(tmp_path / "d" / f"pi-{number}.csv", ["a", "b"] * 10, first=number * 100)
    write_csv(tmp_path / "d" / "server.csv", ["b", "z"], first=900)
    write_csv(tmp_path / "d" / "of-nobody.csv", ["q"])
    render_participants(planned("dataset: csv, path: d, split: files", clients=2), tmp_path / "out")
    labels = table(tmp_path / "out")
    assert labels["devices"]["server"] == {"test": {"b": 1, "z": 1}}
    assert (labels["classes"], labels["test_fraction"]) == (["a", "b", "z"], None)
    assert sum(labels["sizes"]["pi-1"].values()) == 20


def test_clients_with_their_own_test_sets(planned: Planner, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    x, y = np.arange(40, dtype=np.float64).reshape(20, 2), np.arange(20) % 2
    np.savez(tmp_path / "d" / "pi-1.npz", x_train=x, y_train=y, x_test=x[:3] + 100, y_test=y[:3])
    np.savez(tmp_path / "d" / "pi-2.npz", x=x, y=y)
    np.savez(tmp_path / "d" / "server.npz", x_train=x, y_train=y, x_test=x[:4] + 200, y_test=y[:4])
    render_participants(planned("dataset: npz, path: d, split: files", clients=2), tmp_path / "out")
    assert shard(tmp_path / "out", "pi-1")["test_x"].tolist() == (x[:3] + 100).tolist()
    assert shard(tmp_path / "out", "server")["test_x"].tolist() == (x[:4] + 200).tolist()
    assert table(tmp_path / "out")["sizes"] == {
        "server": {"test": 4},
        "pi-1": {"train": 18, "val": 2, "test": 3},
        "pi-2": {"train": 16, "val": 2, "test": 2},
    }


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ("number,width,kind\n1,2,a\n", 'd/pi-2.csv:1: has a column "width" that '),
        ("rest,number,kind\n1,2,a\n", "d/pi-2.csv:1: does not have the columns of d/pi-1.csv in the same order"),
        ("number,rest,kind\n1,x,a\n", 'd/pi-2.csv:2: column "rest": "x" is not a number'),
    ],
)
def test_files_that_do_not_fit_together(planned: Planner, tmp_path: Path, second: str, expected: str) -> None:
    write_csv(tmp_path / "d" / "pi-1.csv", ["a", "b"] * 10)
    (tmp_path / "d" / "pi-2.csv").write_text(second, encoding="utf-8")
    assert mistakes_in(planned, tmp_path, "dataset: csv, path: d, split: files", clients=2).startswith(expected)


def test_arrays_that_do_not_fit_together(planned: Planner, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    np.savez(tmp_path / "d" / "pi-1.npz", x=np.ones((20, 2)), y=np.arange(20) % 2)
    data = "dataset: npz, path: d, split: files"
    np.savez(tmp_path / "d" / "pi-2.npz", x=np.ones((20, 3)), y=np.arange(20) % 2)
    message = mistakes_in(planned, tmp_path, data, clients=2)
    assert message == "d/pi-2.npz: samples have the shape (3,), but in d/pi-1.npz (2,)"
    np.savez(tmp_path / "d" / "pi-2.npz", x=np.ones((20, 2)), y=np.array(["a", "b"] * 10))
    message = mistakes_in(planned, tmp_path, data, clients=2)
    assert message == "d/pi-2.npz: labels are <U1, but in d/pi-1.npz int64 (all files need labels of the same kind)"
    np.savez(tmp_path / "d" / "pi-2.npz", x=np.ones((20, 2)), y=np.ones((20, 2)))
    message = mistakes_in(planned, tmp_path, data, clients=2)
    assert message == "d/pi-2.npz: labels have the shape (2,), but in d/pi-1.npz ()"


def test_too_small_a_file(planned: Planner, tmp_path: Path) -> None:
    write_csv(tmp_path / "d" / "pi-1.csv", ["a", "b"] * 10)
    write_csv(tmp_path / "d" / "pi-2.csv", ["a", "a", "c"], first=100)
    message = mistakes_in(planned, tmp_path, "dataset: csv, path: d, split: files", clients=2)
    assert message == (
        "d/pi-2.csv: has 2 samples after 1 for the server's test set; "
        "a client needs one each for training, validation and test"
    )


def test_shards_depend_on_the_content_not_on_the_path(planned: Planner, tmp_path: Path) -> None:
    for name in ("one.csv", "two.csv"):
        write_csv(tmp_path / name, ["a", "b"] * 40)
        render_participants(planned(f"dataset: csv, path: {name}"), tmp_path / "out" / name)
    for file in ("pi-1/shard.npz", "server/shard.npz", "labels.json"):
        first, second = ((tmp_path / "out" / name / file).read_bytes() for name in ("one.csv", "two.csv"))
        assert first == second


def test_a_changed_file_is_rendered_again(planned: Planner, tmp_path: Path) -> None:
    write_csv(tmp_path / "d.csv", ["a", "b"] * 40)
    before = planned("dataset: csv, path: d.csv")
    assert render_participants(before, tmp_path / "out").changed
    assert not render_participants(before, tmp_path / "out").changed
    write_csv(tmp_path / "d.csv", ["a", "b", "c"] * 40)
    load_own.cache_clear()
    with pytest.raises(
        ValueError, match=r"d\.csv: has changed since the run was planned \(write the inventory again\)"
    ):
        render_participants(before, tmp_path / "other")
    assert render_participants(planned("dataset: csv, path: d.csv"), tmp_path / "out").changed
    assert table(tmp_path / "out")["classes"] == ["a", "b", "c"]


def test_rendering_again_needs_only_the_run_folder(planned: Planner, tmp_path: Path) -> None:
    write_csv(tmp_path / "d.csv", ["a", "b"] * 40)
    device_file = planned("dataset: csv, path: d.csv")
    first = render_participants(device_file, tmp_path / "out")
    (tmp_path / "d.csv").unlink()
    load_own.cache_clear()
    # In place, with other ports.
    device_file["devices"][1]["config"]["distribute"]["client_port"] = 4711
    again = render_participants(device_file, tmp_path / "out")
    assert (again.changed, again.table) == (True, first.table)
    # In another run's folder.
    device_file["data"]["rendered"] = str(tmp_path / "out")
    assert render_participants(device_file, tmp_path / "rerun").table == first.table
    for device in ("server", "pi-3"):
        assert (tmp_path / "rerun" / device / "shard.npz").read_bytes() == (
            tmp_path / "out" / device / "shard.npz"
        ).read_bytes()
    # But not if it is damaged, or with another seed.
    (tmp_path / "out" / "pi-1" / "shard.npz").write_bytes(b"cut")
    with pytest.raises(ValueError, match=r"d\.csv: there is no such file"):
        render_participants(device_file, tmp_path / "third")
    device_file["data"]["seed"] += 1
    with pytest.raises(ValueError, match=r"d\.csv: there is no such file"):
        render_participants(device_file, tmp_path / "fourth")
