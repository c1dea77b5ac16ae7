"""An experiment file is read, or every mistake in it has a place and a sentence; nothing else ever comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fedsim_runner.runs.experiment_file import parse_experiment
from fedsim_runner.spec.experiment import Experiment
from fedsim_runner.yamlfile.spec_errors import SpecErrors

from .strategies import changed, damaged

pytestmark = pytest.mark.lengthy

REPOSITORY = Path(__file__).resolve().parents[3]
# Whose values are of every kind: links, policies, own device types, data by device.
FILES = tuple(
    REPOSITORY / "examples" / f"{name}.yaml"
    for name in ("quickstart", "unequal-links", "stragglers", "new-device-type", "changing-links")
)
TEXTS = [path.read_text(encoding="utf-8") for path in FILES]
TREES: list[Any] = [yaml.safe_load(text) for text in TEXTS]


def read(text: str) -> Experiment | None:
    """The experiment; None if the file has mistakes, which then are as they have to be."""
    try:
        return parse_experiment(text, FILES[0])
    except SpecErrors as found:
        assert found.errors
        for mistake in found.errors:
            assert mistake.message and mistake.file
            assert 0 <= mistake.line <= len(text.splitlines()) + 1
            assert str(mistake).isprintable()
            assert "Traceback" not in str(mistake) and "pydantic" not in str(mistake)
        return None


@pytest.mark.parametrize("text", TEXTS, ids=[path.stem for path in FILES])
def test_the_files_are_right_before_they_are_changed(text: str) -> None:
    assert read(text) is not None


@given(st.sampled_from(TREES).flatmap(changed))
def test_changed_values(tree: Any) -> None:
    try:
        text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    except (yaml.YAMLError, ValueError):  # no YAML can hold it: a number of more than 4300 digits
        return
    experiment = read(text)
    assert read(text) == experiment


@given(st.sampled_from(TEXTS).flatmap(lambda text: damaged(text.encode())))
def test_damaged_text(content: bytes) -> None:
    read(content.decode("utf-8", errors="replace"))


@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    assert read(text) is None
