"""Weights and other files that a fork's code looks for on devices, seen in its code and in the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.catalog.federatedscope_keys import known_keys
from fedsim_runner.engines.federatedscope.course_facts import Tree
from fedsim_runner.engines.federatedscope.side_files import notes

MODEL = """
import torchvision
def call(config, shape):
    if config.type == "mynet":
        return torchvision.models.vgg16({arguments})
"""


@pytest.fixture
def fork(tmp_path: Path) -> Path:
    folder = tmp_path / "fork/federatedscope/contrib/model"
    folder.mkdir(parents=True)
    return tmp_path / "fork"


def said(fork: Path, config: dict[str, Any]) -> list[str]:
    return list(notes(Tree(config), fork, known_keys()))


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        ("pretrained=True", "torchvision.models.vgg16(pretrained=True)"),
        ("weights=W.DEFAULT", "torchvision.models.vgg16(weights=W.DEFAULT)"),
        ("weights='DEFAULT'", "torchvision.models.vgg16(weights='DEFAULT')"),
        ("pretrained=False", None),
        ("weights=None", None),
        ("", None),
    ],
)
def test_pretrained_weights_of_the_model_in_use_are_told_with_their_line(
    fork: Path, arguments: str, call: str | None
) -> None:
    path = fork / "federatedscope/contrib/model/mine.py"
    path.write_text(MODEL.replace("{arguments}", arguments), encoding="utf-8")
    found = said(fork, {"model": {"type": "MyNet"}})
    begun = f"federatedscope/contrib/model/mine.py:5 calls {call} when a participant starts"
    assert [one.partition(", and devices reach no network")[0] for one in found] == ([] if call is None else [begun])
    assert said(fork, {"model": {"type": "othernet"}}) == []


@pytest.mark.parametrize("call", ["AutoModel.from_pretrained('x')", "clip.load('ViT-B/32')", "torch.hub.load('a')"])
def test_functions_that_fetch(fork: Path, call: str) -> None:
    text = f"def call(c):\n    if 'mynet' in c.type:\n        return {call}\n"
    (fork / "federatedscope/contrib/model/mine.py").write_text(text, encoding="utf-8")
    assert len(said(fork, {"model": {"type": "mynet"}})) == 1


def test_files_that_a_forks_own_keys_name(fork: Path, tmp_path: Path) -> None:
    (fork / "weights").mkdir()
    (tmp_path / "clip.pt").touch()
    config = {
        "ggeur": {"clip_model_path": str(tmp_path / "clip.pt"), "folder": "./weights", "name": "ViT-B/32", "n": 3},
        "data": {"root": str(tmp_path)},  # FederatedScope's own keys are somebody else's business
    }
    assert [one.partition(", which")[0] for one in said(fork, config)] == [
        f"federatedscope.config.ggeur.clip_model_path names {tmp_path / 'clip.pt'}",
        "federatedscope.config.ggeur.folder names ./weights",
    ]


def test_a_file_beside_the_code_is_on_devices_under_another_path(fork: Path) -> None:
    (fork / "federatedscope/contrib/model/net.pt").touch()
    (line,) = said(fork, {"mine": {"weights": "federatedscope/contrib/model/net.pt"}})
    assert "which devices have beside the code in contrib, not under this path" in line
