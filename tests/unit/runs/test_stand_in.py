"""Data in place of those that a FederatedScope YAML names: what its model can train on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from fedsim_runner.cli.entry import call
from fedsim_runner.contract.errors import Exit
from fedsim_runner.engines.federatedscope.source import SOURCE_VARIABLE
from fedsim_runner.runs.stand_in import MadeUp, stand_in

CLASSES, NUMBERS, BINARY = "CrossEntropyLoss", "MSELoss", "BCEWithLogitsLoss"


@pytest.mark.parametrize(
    ("model", "loss", "expected"),
    [
        ({"type": "lr", "out_channels": 62}, CLASSES, "digits"),
        ({"type": "mlp", "out_channels": 3}, CLASSES, "iris"),
        ({"type": "lr", "out_channels": 2}, CLASSES, "breast_cancer"),
        ({"type": "convnet2", "out_channels": 10}, CLASSES, "digits"),
        ({"type": "convnet2", "out_channels": 2}, CLASSES, MadeUp(120, (3, 8, 8), 0, classes=2)),
        ({"type": "vgg11", "out_channels": 10}, CLASSES, MadeUp(120, (3, 32, 32), 0, classes=10)),
        ({"type": "mynet", "out_channels": 4}, CLASSES, MadeUp(120, (3, 32, 32), 0, classes=4)),
        ({"type": "lstm", "in_channels": 80, "out_channels": 80}, CLASSES, MadeUp(120, (20,), 0, 80, words=80)),
        (
            {"type": "lstm", "in_channels": 7, "out_channels": 4, "embed_size": 0},
            CLASSES,
            MadeUp(120, (20, 7), 0, classes=4),
        ),
        ({"type": "lr"}, NUMBERS, MadeUp(120, (20,), 1)),
        ({"type": "mlp", "out_channels": 3, "task": "regression"}, NUMBERS, MadeUp(120, (20,), 3)),
        ({"type": "lr"}, BINARY, MadeUp(120, (20,), 1, probabilities=True)),
        ({}, "MSELoss", MadeUp(120, (20,), 1)),
        # What no data help.
        ({"type": "lr"}, CLASSES, "digits"),
        ({"type": "quadratic"}, NUMBERS, "digits"),
        ({"type": "lr", "out_channels": 2}, "MyLoss", "digits"),
    ],
)
def test_data_fit_the_model(model: dict[str, Any], loss: str, expected: str | MadeUp) -> None:
    assert stand_in({"model": model, "criterion": {"type": loss}}, 3) == expected


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        ("CIFAR10@torchvision", (3, 32, 32)),
        ("femnist", (1, 28, 28)),
        ("MNIST@torchvision", (1, 28, 28)),
        (None, (3, 32, 32)),
    ],
)
def test_a_model_of_the_users_own_gets_images_as_the_file_has_them(data: str | None, shape: tuple[int, ...]) -> None:
    config = {"model": {"type": "fedsam_conv2", "out_channels": 10}, "criterion": {"type": CLASSES}}
    found = stand_in(config if data is None else {**config, "data": {"type": data}}, 3)
    assert found == MadeUp(120, shape, 0, classes=10)


@pytest.mark.parametrize("number", ["many", -3, 10**30, float("nan"), None, [2]])
@pytest.mark.parametrize("model", ["lr", "lstm"])
def test_a_wrong_number_is_left_to_the_plan(model: str, number: object) -> None:
    config = {"model": {"type": model, "out_channels": number, "in_channels": number}}
    found = stand_in(config, 3)
    assert isinstance(found, MadeUp) and 1 <= found.targets <= 1000


@pytest.mark.parametrize(
    ("data", "x", "labels", "said"),
    [
        (MadeUp(40, (3, 4, 4), 0, classes=2), ((40, 3, 4, 4), "f"), {0, 1}, "3 x 4 x 4 numbers each, in 2 classes"),
        (MadeUp(40, (5,), 2), ((40, 5), "f"), None, "rows of 5 numbers, with 2 numbers as label"),
        (MadeUp(40, (5,), 1, probabilities=True), ((40, 5), "f"), {0.0, 1.0}, "with one number as label"),
        (
            MadeUp(40, (9,), 0, classes=3, words=7),
            ((40, 9), "i"),
            {0, 1, 2},
            "texts of 9 words, of a vocabulary of 7, in 3",
        ),
    ],
)
def test_made_up_data_are_as_they_say(
    tmp_path: Path, data: MadeUp, x: tuple[tuple[int, ...], str], labels: set[float] | None, said: str
) -> None:
    data.write(tmp_path / "made.npz")
    with np.load(tmp_path / "made.npz") as archive:
        assert (archive["x"].shape, archive["x"].dtype.kind) == x
        assert len(archive["y"]) == data.count
        assert labels is None or set(archive["y"].ravel().tolist()) == labels
        assert not data.words or archive["x"].max() < data.words
    assert said in str(data)
    data.write(tmp_path / "again.npz")
    with np.load(tmp_path / "again.npz") as again, np.load(tmp_path / "made.npz") as archive:
        assert all(np.array_equal(again[name], archive[name]) for name in ("x", "y"))


LR = "{type: lr, out_channels: 10}"
LSTM = "{type: lstm, in_channels: 50, out_channels: 12, embed_size: 8, hidden: 4}"


@pytest.mark.parametrize(
    ("model", "loss", "data"),
    [
        ("{type: lr, out_channels: 2}", CLASSES, "synthetic"),
        ("{type: convnet2, out_channels: 2, hidden: 8}", CLASSES, "celeba"),
        ("{type: vgg11, out_channels: 4, hidden: 8}", CLASSES, "CIFAR10@torchvision"),
        (LSTM, CLASSES, "shakespeare"),
        ("{type: lstm, in_channels: 50, out_channels: 12, embed_size: 0, hidden: 4}", CLASSES, "shakespeare"),
        ("{type: lr, out_channels: 1}", NUMBERS, "abalone@openml"),
        ("{type: mlp, out_channels: 2, task: regression}", "L1Loss", "synthetic"),
        ("{type: lr, out_channels: 1}", BINARY, "synthetic"),
    ],
)
def test_what_init_writes_plans(
    model: str,
    loss: str,
    data: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(SOURCE_VARIABLE, "federatedscope==0.3.0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.fs.yaml").write_text(
        f"federate: {{client_num: 3, total_round_num: 3}}\nmodel: {model}\ncriterion: {{type: {loss}}}\n"
        f"data: {{type: {data}}}\ndataloader: {{batch_size: 8}}\n",
        encoding="utf-8",
    )
    assert call(["init", "my.fs.yaml"]) == Exit.DONE, capsys.readouterr().err
    written = yaml.safe_load((tmp_path / "my.yaml").read_text(encoding="utf-8"))["data"]
    assert (written["dataset"] == "npz") == (tmp_path / "my.stand-in.npz").is_file()
    assert f"in place of {data}, which is not in data" in (tmp_path / "my.yaml").read_text(encoding="utf-8")


def test_made_up_data_replace_no_file_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(SOURCE_VARIABLE, "federatedscope==0.3.0")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.fs.yaml").write_text("federate: {client_num: 3, total_round_num: 3}\n", encoding="utf-8")
    (tmp_path / "my.stand-in.npz").touch()
    assert call(["init", "my.fs.yaml"]) == Exit.SPEC
    assert "my.stand-in.npz, where made-up data would be, is there already" in capsys.readouterr().err
    assert not (tmp_path / "my.yaml").exists() and not (tmp_path / "my.stand-in.npz").stat().st_size
    assert call(["init", "my.fs.yaml", "--force"]) == Exit.DONE
    assert "made-up data, rows of 20 numbers, with one number as label, as the model takes them" in (
        tmp_path / "my.yaml"
    ).read_text(encoding="utf-8")
