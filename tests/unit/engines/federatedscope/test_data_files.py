"""What the plan says of FederatedScope's pickles: it reads their keys, and runs nothing that they hold."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsim_runner.engines.federatedscope.data_files import HeldData, look_into, unusable_files

SPLIT = {"x": [[0.5, 1.0]], "y": [[2.0]]}
ONE = {"train": SPLIT, "val": SPLIT, "test": SPLIT}
DEVICES = ("server", "a", "b")


class Harmful:
    """Writes a file when its pickle is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def written(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.write_bytes(pickle.dumps(content))
    return path


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (ONE, HeldData(frozenset(ONE))),
        ({**ONE, "train": None}, HeldData(frozenset({"val", "test"}))),
        ({0: {"test": SPLIT}, 1: ONE, 2: ONE}, HeldData(numbers=frozenset({0, 1, 2}))),
        (OrderedDict({1: ONE}), HeldData(numbers=frozenset({1}))),
        ({1: {"train": {"x": np.zeros((2, 3)), "y": np.zeros(2)}}}, HeldData(numbers=frozenset({1}))),
        ({np.int64(1): ONE}, HeldData()),  # may be right
        (np.zeros(3), HeldData()),
    ],
    ids=["one", "server", "numbers", "ordered", "arrays", "numpy-numbers", "array"],
)
def test_what_a_file_holds(tmp_path: Path, content: object, expected: HeldData) -> None:
    assert look_into(written(tmp_path, "data", content)) == expected


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    path = written(tmp_path, "data", {1: Harmful(tmp_path / "harm"), 2: [Harmful(tmp_path / "harm")]})
    assert look_into(path).numbers == {1, 2}
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no pickle that can be read"),
        (b"x_train,y_train\n1,2\n", "no pickle that can be read"),
        (pickle.dumps(ONE)[:40], "no pickle that can be read"),
        (pickle.dumps([1, 2]), "holds no data by participant"),
        (pickle.dumps({"client_1": ONE}), "holds no data by participant"),
        (b"\x80\x04r\xff\xff\xff\x7f.", "no pickle that can be read"),
    ],
)
def test_what_is_no_file_of_data(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "data"
    path.write_bytes(content)
    assert reason in look_into(path).wrong


def test_each_with_its_own_file_or_number(tmp_path: Path) -> None:
    every, one = written(tmp_path, "every", {1: ONE, 2: ONE, 5: ONE}), written(tmp_path, "one", ONE)
    tree = {"type": "file", "file_path": str(every)}
    own = {"b": {"data": {"file_path": str(one)}}}
    for parts in ({}, own, {"b": {"distribute": {"data_idx": 5}}}, {"server": {"distribute": {"data_idx": 5}}}):
        assert not list(unusable_files(tree, parts, DEVICES))
    # A server's own file, and none of its own where the clients have them.
    assert not list(unusable_files({"type": "file"}, {**own, "a": own["b"]}, DEVICES))


def test_what_stands_against_files(tmp_path: Path) -> None:
    every, one = written(tmp_path, "every", {1: ONE, 2: ONE}), written(tmp_path, "one", ONE)
    of_server = written(tmp_path, "of-server", {"train": None, "test": SPLIT})

    def refused(path: Path, parts: dict[str, Any], devices: tuple[str, ...] = DEVICES) -> list[tuple[str, str | None]]:
        found = unusable_files({"type": "file", "file_path": str(path)}, parts, devices)
        return [(one.reason.removeprefix(f"{tmp_path}/"), one.device) for one in found]

    assert refused(one, {}) == [("one holds one participant's data, and a has no file of its own", None)]
    assert refused(every, {}, (*DEVICES, "c")) == [("every has data of the numbers 1, 2, and c is client 3", None)]
    assert refused(every, {"a": {"distribute": {"data_idx": 7}}}) == [
        ("every has data of the numbers 1, 2, not of 7", "a")
    ]
    assert refused(every, {"b": {"data": {"file_path": str(of_server)}}}) == [
        ("of-server has no data to train on, and b is a client", "b")
    ]
    missing = str(tmp_path / "nowhere")
    parts = {name: {"data": {"file_path": missing}} for name in ("a", "b")}
    assert refused(every, parts) == [(f"there is no file {missing}", "a")]  # once
