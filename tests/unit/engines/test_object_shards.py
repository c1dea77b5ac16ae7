"""Shards that hold objects are copied, never unpickled, and never used where the data set has none."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsim_runner.datasets.object_shards import holds_object
from fedsim_runner.engines.federatedscope import data_loader
from fedsim_runner.engines.participant_files import data_fingerprint, render_participants


class Harmful:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.trace,))


def write_object(path: Path, trace: Path) -> None:
    facts = json.dumps({"sizes": {"train": 3}, "reason": "the data are graphs"}).encode()
    pickled = pickle.dumps(Harmful(trace))
    with path.open("wb") as file:
        np.savez(file, object=np.frombuffer(pickled, np.uint8), facts=np.frombuffer(facts, np.uint8))


@pytest.fixture
def requests() -> list[dict[str, Any]]:
    """What the exporting program was asked."""
    return []


@pytest.fixture
def graphs(
    device_file: dict[str, Any], requests: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """A device file of graphs, which a program that stands in for the exporting one writes."""
    device_file["data"] |= {"dataset": "federatedscope", "tree": {"type": "cora"}}
    for device in device_file["devices"]:
        device["engine"] = "federatedscope"

    def call(command: list[str], source: Path, kind: str, folder: Path, variables: dict[str, str]) -> None:
        requests.append(json.loads((folder / "request.json").read_text(encoding="utf-8")))
        for index in range(len(device_file["clients"]) + 1):
            write_object(folder / f"{index}.npz", tmp_path / "trace")

    monkeypatch.setattr(data_loader, "_call", call)
    monkeypatch.setattr(data_loader, "_source", lambda named: tmp_path)
    monkeypatch.setattr(data_loader, "interpreter", lambda: "python")
    return device_file


def test_an_object_goes_to_its_device_as_it_is(
    graphs: dict[str, Any], requests: list[dict[str, Any]], tmp_path: Path
) -> None:
    table = render_participants(graphs, tmp_path / "out").table
    first = graphs["clients"][0]
    assert holds_object(tmp_path / "out" / first / "shard.npz")
    assert not (tmp_path / "trace").exists()
    assert (table["shape"], table["classes"], table["sizes"][first]) == (None, [], {"train": 3})
    assert table["devices"][first] == {"train": {}}
    assert requests[0]["objects"] == "graphs"
    # Existing objects are kept, also for another run.
    graphs["data"]["rendered"] = str(tmp_path / "out")
    assert render_participants(graphs, tmp_path / "again").table == table
    assert len(requests) == 1
    assert not (tmp_path / "trace").exists()


def test_the_light_engine_takes_none(graphs: dict[str, Any], tmp_path: Path) -> None:
    graphs["devices"][1]["engine"] = "light"
    with pytest.raises(ValueError, match=r"data set cora: the data are graphs: that is for engine federatedscope only"):
        render_participants(graphs, tmp_path / "out")


def test_the_loader_gets_what_it_reads_and_that_counts(
    graphs: dict[str, Any], requests: list[dict[str, Any]], tmp_path: Path
) -> None:
    config = graphs["course"]["config"]
    config |= {"model": {"type": "gcn", "task": "node"}, "dataloader": {"type": "pyg", "batch_size": 1}}
    before = data_fingerprint(graphs)
    config["dataloader"]["batch_size"] = 2
    assert data_fingerprint(graphs) == before
    config["model"]["task"] = "graph"
    assert data_fingerprint(graphs) != before
    render_participants(graphs, tmp_path / "out")
    asked = requests[0]["config"]
    assert (asked["model"], asked["dataloader"]) == ({"type": "gcn", "task": "graph"}, {"type": "pyg"})


def test_an_object_in_place_of_arrays_is_not_used(device_file: dict[str, Any], tmp_path: Path) -> None:
    """A run folder of somebody's may have one, with the right sums."""
    theirs = tmp_path / "theirs"
    render_participants(device_file, theirs)
    first = device_file["clients"][0]
    shard, stamp_path = theirs / first / "shard.npz", next(theirs.glob("*.stamp.json"))
    write_object(shard, tmp_path / "trace")
    stamp = json.loads(stamp_path.read_text(encoding="utf-8"))
    stamp["files"][f"{first}/shard.npz"] = hashlib.sha256(shard.read_bytes()).hexdigest()
    stamp_path.write_text(json.dumps(stamp), encoding="utf-8")
    device_file["data"]["rendered"] = str(theirs)
    render_participants(device_file, tmp_path / "mine")
    assert holds_object(shard)
    assert not holds_object(tmp_path / "mine" / first / "shard.npz")
    assert not (tmp_path / "trace").exists()


def test_what_is_no_archive_holds_no_object(tmp_path: Path) -> None:
    (tmp_path / "shard.npz").write_bytes(b"text")
    assert not holds_object(tmp_path / "shard.npz")
