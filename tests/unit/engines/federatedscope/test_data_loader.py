"""FederatedScope's own data sets: loaded and split by FederatedScope, here without a download."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsim_runner.datasets.data_split import make_shards
from fedsim_runner.datasets.object_shards import IN_BATCHES
from fedsim_runner.engines.federatedscope import data_loader, export_program
from fedsim_runner.engines.participant_files import render_participants
from fedsim_runner.runs.experiment_file import parse_experiment
from fedsim_runner.yamlfile.spec_errors import SpecErrors
from tests.federatedscope import PYTHON, SETTINGS, SOURCE
from tests.unit.engines.federatedscope.leaf import write_leaf
from tests.unit.participant.helpers import REPOSITORY

# Stands in for torchvision and its downloads; FederatedScope's loader for `NAME@torchvision` and its splitter are real.
TORCHVISION = """
import torch

class Blobs:
    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        count = 90 if train else 30
        self.targets = [number % 3 for number in range(count)]
        self.data = [torch.full((1, 4, 4), float(label + 10 * (not train))) for label in self.targets]
    def __len__(self):
        return len(self.targets)
    def __getitem__(self, index):
        return self.data[index], self.targets[index]

class Pairs(Blobs):
    def __getitem__(self, index):
        return [self.data[index], self.data[index]], self.targets[index]

class Sizes(Blobs):
    def __getitem__(self, index):
        return torch.zeros(1 + index), self.targets[index]

class Letters(Blobs):
    def __getitem__(self, index):
        return torch.full((5,), self.targets[index]), self.targets[index]
"""
SPEC = """\
name: theirs
devices:
  - {name: server, type: edge-server, role: server}
  - {name: pi, type: raspberry-pi, count: 3}
DATA
federatedscope:
  config:
    federate: {total_round_num: 3}
    model: {type: convnet2, out_channels: 3}
    data: {type: Blobs@torchvision, splits: [0.8, 0.2, 0], splitter: lda, splitter_args: [{alpha: 0.5}]}
"""
needs_federatedscope = pytest.mark.skipif(not SOURCE, reason=f"no FederatedScope source: see {SETTINGS}")


@pytest.fixture
def theirs(device_file: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    package = tmp_path / "packages" / "torchvision"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from . import datasets\n", encoding="utf-8")
    (package / "datasets.py").write_text(TORCHVISION, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setattr(data_loader, "interpreter", lambda: PYTHON)
    tree = {"type": "Blobs@torchvision", "root": str(tmp_path), "splits": [0.8, 0.2, 0.0]}
    tree |= {"splitter": "lda", "splitter_args": [{"alpha": 0.5}]}
    device_file["data"] |= {"dataset": "federatedscope", "layout": "image", "tree": tree}
    device_file["federatedscope"]["source"] = SOURCE
    return device_file


@pytest.mark.federatedscope
@needs_federatedscope
def test_loaded_and_split_by_federatedscope(theirs: dict[str, Any], tmp_path: Path) -> None:
    table = render_participants(theirs, tmp_path / "out").table
    assert table["devices"]["server"]["test"] == {"0": 10, "1": 10, "2": 10}
    trained = [table["sizes"][client]["train"] for client in theirs["clients"]]
    assert sum(trained) == 72
    assert len(set(trained)) > 1
    assert (table["shape"], table["classes"], table["test_fraction"]) == ([1, 4, 4], ["0", "1", "2"], None)
    with np.load(tmp_path / "out" / theirs["clients"][0] / "shard.npz", allow_pickle=False) as shard:
        assert (shard["train_x"][:, 0, 0, 0] == shard["train_y"]).all()
        assert IN_BATCHES in shard
    # FederatedScope is not run again for existing shards.
    theirs["devices"][0]["config"]["distribute"]["server_port"] = 4711
    theirs["federatedscope"]["source"] = "/nowhere/federatedscope"
    assert render_participants(theirs, tmp_path / "out").table == table


@pytest.mark.federatedscope
@needs_federatedscope
def test_numbers_stay_as_federatedscope_loads_them(theirs: dict[str, Any], tmp_path: Path) -> None:
    theirs["data"]["tree"] |= {"type": "Letters@torchvision"}
    theirs["data"]["layout"] = "kept"
    letters = render_participants(theirs, tmp_path / "letters").table
    theirs["data"]["tree"] = {"type": "toy", "root": str(tmp_path)}
    toy = render_participants(theirs, tmp_path / "toy").table
    first = theirs["clients"][0]
    for folder, x, y in (("letters", ("int64", (5,)), ("int64", ())), ("toy", ("float32", (5,)), ("float32", (1,)))):
        with np.load(tmp_path / folder / first / "shard.npz", allow_pickle=False) as shard:
            for name, (kind, shape) in (("train_x", x), ("train_y", y)):
                assert (shard[name].dtype, shard[name].shape[1:]) == (np.dtype(kind), shape)
    assert letters["classes"] == ["0", "1", "2"]
    # Numbers are not counted by class.
    assert (toy["classes"], toy["devices"][first], toy["sizes"][first]["train"]) == (
        [],
        {"train": {}, "val": {}, "test": {}},
        1000,
    )


# FederatedScope's own program writes lists.
PICKLE = """
import pickle, sys
split = {"x": [[float(n % 5), 1.0] for n in range(40)], "y": [[2.0 * (n % 5)] for n in range(40)]}
data = {0: {"test": split}, **{number: {"train": split} for number in range(1, 4)}}
data[4] = {"train": {name: values[:10] for name, values in split.items()}}
pickle.dump(data, open(sys.argv[1], "wb"))
pickle.dump(data[1], open(sys.argv[2], "wb"))
"""


@pytest.mark.federatedscope
@needs_federatedscope
def test_a_file_with_the_data_of_all_participants(theirs: dict[str, Any], tmp_path: Path) -> None:
    every, one = tmp_path / "all.pkl", tmp_path / "one.pkl"
    subprocess.run([PYTHON, "-c", PICKLE, str(every), str(one)], check=True)
    theirs["data"] |= {"layout": "flat", "tree": {"type": "file", "file_path": str(every)}}
    render_participants(theirs, tmp_path / "out")
    with np.load(tmp_path / "out" / theirs["clients"][2] / "shard.npz", allow_pickle=False) as shard:
        assert (shard["train_x"].dtype, shard["train_y"].dtype) == (np.float32, np.float32)
        assert np.array_equal(shard["train_y"], 2 * shard["train_x"][:, :1])
        assert IN_BATCHES not in shard
    theirs["data"]["tree"] = {"type": "file", "file_path": str(one)}
    with pytest.raises(
        ValueError, match=rf"one\.pkl holds one participant's data, and {theirs['clients'][0]} has no fil"
    ):
        render_participants(theirs, tmp_path / "other")
    # Each as its own configuration would say in distributed mode.
    first, second, *_ = theirs["clients"]
    theirs["data"]["tree"] = {"type": "file", "file_path": str(every)}
    theirs["data"]["parts"] = {
        "server": {"distribute": {"data_idx": 0}},
        first: {"data": {"file_path": str(one)}},
        second: {"distribute": {"data_idx": 4}},
    }
    sizes = render_participants(theirs, tmp_path / "own").table["sizes"]
    assert {name: sizes[name] for name in ("server", first, second)} == {
        "server": {"test": 40}, first: {"train": 40}, second: {"train": 10}
    }  # fmt: skip
    theirs["data"]["parts"][second]["distribute"]["data_idx"] = 9
    with pytest.raises(ValueError, match=f"{second} shall get part 9 of the data, and there is none"):
        render_participants(theirs, tmp_path / "other")


@pytest.mark.federatedscope
@needs_federatedscope
def test_parts_of_a_set_by_number(theirs: dict[str, Any], tmp_path: Path) -> None:
    first, second, third, *_ = theirs["clients"]
    plain = render_participants(theirs, tmp_path / "plain").table["sizes"]
    theirs["data"]["parts"] = {first: {"distribute": {"data_idx": 3}}, third: {"distribute": {"data_idx": 1}}}
    swapped = render_participants(theirs, tmp_path / "swapped").table["sizes"]
    assert (swapped[first], swapped[second], swapped[third]) == (plain[third], plain[second], plain[first])


# Builds a client's data on a device, and says what it got.
BUILD = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from federatedscope.core.configs.config import global_cfg
from fedsim_runner.participant.federatedscope.data import build_data, load_object
config = global_cfg.clone()
config.data.type, config.dataloader.batch_size = "file", 4
data = build_data(load_object(Path(sys.argv[2])), config)
pair, label = next(iter(data["train"]))
own = data.train_data
print(json.dumps([config.data.type, config.data.splitter, list(pair[1].shape), len(own), len(own.data), sorted(data)]))
"""


@pytest.mark.federatedscope
@needs_federatedscope
def test_pairs_reach_a_device_as_federatedscope_makes_them(theirs: dict[str, Any], tmp_path: Path) -> None:
    """And of one of torchvision's sets no more than the device's own part."""
    theirs["data"]["tree"] |= {"type": "Pairs@torchvision"}
    for device in theirs["devices"]:
        device["engine"] = "federatedscope"
    table = render_participants(theirs, tmp_path / "out").table
    trained = [table["sizes"][client]["train"] for client in theirs["clients"]]
    assert sum(trained) == 72
    client = max(theirs["clients"], key=lambda name: table["sizes"][name]["train"])
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'packages'}:{SOURCE}"}
    command = [PYTHON, "-c", BUILD, str(REPOSITORY), str(tmp_path / "out" / client / "shard.npz")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    kind, splitter, shape, count, kept, splits = json.loads(done.stdout)
    assert (kind, splitter, shape) == ("Pairs@torchvision", "lda", [4, 1, 4, 4])
    assert "train" in splits
    assert count == kept == max(trained)
    # A device that lacks the package says which; this interpreter may have it.
    without = tmp_path / "without"
    without.mkdir()
    (without / "torchvision.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'torchvision'\", name='torchvision')\n"
    )
    environment["PYTHONPATH"] = f"{without}:{SOURCE}"
    failed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "made with the package torchvision" in failed.stderr.splitlines()[-1]


@pytest.mark.federatedscope
@needs_federatedscope
def test_a_leaf_set_of_numpy_arrays(theirs: dict[str, Any], tmp_path: Path) -> None:
    """Newer versions of torch read only tensors unless told otherwise; the set synthetic is kept as arrays."""
    write_leaf(tmp_path, "synthetic", "(numbers.normal(size=(40, 150)).astype(np.float32), numbers.integers(0, 2, 40))")
    theirs["clients"] = theirs["clients"][:2]
    theirs["devices"] = theirs["devices"][:3]
    theirs["data"] |= {"layout": "flat", "tree": {"type": "synthetic", "root": str(tmp_path)}}
    table = render_participants(theirs, tmp_path / "out").table
    assert (table["shape"], table["classes"]) == ([150], ["0", "1"])


@pytest.mark.federatedscope
@needs_federatedscope
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"type": "Pairs@torchvision"}, "not arrays of one shape: a sample consists of several arrays"),
        ({"type": "Sizes@torchvision"}, "not arrays of one shape: all input arrays must have the same shape"),
        ({"type": "Nonsense@torchvision"}, "has no attribute 'Nonsense'"),
        ({"type": "nonsense"}, "Dataset nonsense not found"),
        ({"type": "Any@torchtext"}, "No module named 'torchtext'"),
        ({"slitter": "lda"}, "slitter"),
    ],
)
def test_what_federatedscope_refuses(
    theirs: dict[str, Any], tmp_path: Path, change: dict[str, str], expected: str
) -> None:
    theirs["data"]["tree"] |= change
    with pytest.raises(ValueError, match=expected) as caught:
        render_participants(theirs, tmp_path / "out")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.process
def test_an_interpreter_that_does_not_exist(theirs: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be run: No such file"):
        data_loader.export_shards(theirs, python="/nowhere/python", source=tmp_path)


@pytest.mark.process
def test_an_interpreter_without_federatedscope(theirs: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"No module named 'federatedscope' \(federatedscope\.python of the user"):
        data_loader.export_shards(theirs, source=tmp_path)


@pytest.mark.process
def test_loaders_find_files_from_the_checkout_and_write_none_into_it(theirs: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "fork/data").mkdir(parents=True)
    (tmp_path / "fork/data/one.jpg").write_text("found", encoding="utf-8")
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho > written && cat data/one.jpg >&2\nexit 1\n", encoding="utf-8")
    program.chmod(0o755)
    with pytest.raises(ValueError, match=r": found$"):
        data_loader.export_shards(theirs, python=str(program), source=tmp_path / "fork")
    assert [path.name for path in (tmp_path / "fork").iterdir()] == ["data"]


def test_samples_are_stacked_as_numpy_does_with_fractions_in_single_precision() -> None:
    x, y = export_program.stacked([(np.ones((2, 2)), 1), (np.zeros((2, 2), np.float32), 2)])
    assert (x.dtype, x.shape, y.dtype, y.tolist()) == (np.float32, (2, 2, 2), np.int64, [1, 2])
    x, _ = export_program.stacked([(np.uint8(3), 0), (np.int64(700), 0)])
    assert (x.dtype, x.tolist()) == (np.int64, [3, 700])
    x, _ = export_program.stacked(pair for pair in [(1, 0), (2.5, 0)])
    assert (x.dtype.kind, x.tolist()) == ("f", [1, 2.5])
    assert [len(one) for one in export_program.stacked([])] == [0, 0]
    with pytest.raises(ValueError, match="the same shape"):
        export_program.stacked([([1, 2], 0), ([1], 0)])


def test_planning_loads_nothing(theirs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Blobs@torchvision is unknown until FederatedScope has loaded it"):
        make_shards(theirs)


def test_the_experiment_file(tmp_path: Path) -> None:
    text = SPEC.replace("DATA", "data: {dataset: federatedscope}")
    experiment = parse_experiment(text, tmp_path / "x.yaml")
    assert experiment.data.tree == {
        "type": "Blobs@torchvision",
        "root": str(tmp_path / "data"),
        "splits": [0.8, 0.2, 0],
        "splitter": "lda",
        "splitter_args": [{"alpha": 0.5}],
    }
    assert "data" not in experiment.config
    assert experiment.data.layout == "image"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("federatedscope}", "federatedscope, split: iid}", "data.split: means nothing with dataset: federatedscope"),
        ("federatedscope}", "federatedscope, path: x}", "data.path: means nothing with dataset: federatedscope"),
        ("type: Blobs@torchvision, ", "", "federatedscope.config.data.type: missing key"),
        ("Blobs@torchvision", "''", "federatedscope.config.data.type: is empty: that is for a server without data"),
        ("Blobs@torchvision", "file", "federatedscope.config.data.file_path: missing key"),
        ("splits: [", "root: 3, splits: [", "federatedscope.config.data.root: must be text"),
    ],
)
def test_mistakes_in_the_experiment_file(tmp_path: Path, old: str, new: str, expected: str) -> None:
    text = SPEC.replace("DATA", "data: {dataset: federatedscope}").replace(old, new, 1)
    with pytest.raises(SpecErrors) as caught:
        parse_experiment(text, tmp_path / "x.yaml")
    assert expected in str(caught.value)
    assert len(caught.value.errors) == 1


def test_a_configured_interpreter_that_does_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured = tmp_path / "fedsim" / "config.yaml"
    configured.parent.mkdir()
    configured.write_text(json.dumps({"federatedscope": {"python": "/nowhere/python"}}), encoding="utf-8")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(
        SpecErrors, match=r"data\.dataset: FederatedScope loads it, and there is no interpreter /nowhere"
    ):
        parse_experiment(SPEC.replace("DATA", "data: {dataset: federatedscope}"), tmp_path / "x.yaml")
