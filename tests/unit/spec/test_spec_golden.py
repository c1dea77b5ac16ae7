"""Right and wrong experiment files: what they mean, and the exact messages about them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fedsim_runner.content import content_root
from fedsim_runner.contract.typed_json import dump
from fedsim_runner.runs.experiment_file import load_experiment
from fedsim_runner.yamlfile.spec_errors import SpecErrors

SPECS = Path(__file__).resolve().parents[2] / "golden" / "specs"
Golden = Callable[[Path, str], None]


def cases(folder: str) -> list[object]:
    return [pytest.param(path, id=path.stem) for path in sorted((SPECS / folder).glob("*.yaml"))]


def without_folders(text: str) -> str:
    text = re.sub(r"\S+(?=\.\.\.x{10})", "", text)  # of a long path that was cut, as much is left as its folder leaves
    return text.replace(f"{SPECS / 'good'}/", "").replace(f"{SPECS / 'bad'}/", "").replace(str(content_root()), "")


@pytest.mark.parametrize("path", cases("good"))
def test_good(path: Path, golden: Golden) -> None:
    experiment = load_experiment(path)
    assert experiment.path == path
    assert experiment.source == path.read_text(encoding="utf-8")
    values = dump(experiment)
    del values["path"], values["source"]
    for device in values["devices"]:
        del device["entry"]  # a place in the file, for messages
    for value, key in [(values, "topology"), *((device, "region") for device in values["devices"])]:
        if value[key] is None:
            del value[key]
    golden(path.with_suffix(".json"), without_folders(json.dumps(values, indent=1)) + "\n")


@pytest.mark.parametrize("path", cases("bad"))
def test_bad(path: Path, golden: Golden) -> None:
    with pytest.raises(SpecErrors) as caught:
        load_experiment(path)
    golden(path.with_suffix(".log"), without_folders(str(caught.value)) + "\n")


def test_there_are_no_left_over_golden_files() -> None:
    for folder, suffix in (("good", ".json"), ("bad", ".log")):
        expected = {path.stem for path in (SPECS / folder).glob(f"*{suffix}")}
        assert expected == {path.stem for path in (SPECS / folder).glob("*.yaml")}
