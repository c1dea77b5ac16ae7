"""Calibrations in the user's state folder."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner.compute import store
from fedsim_runner.contract.errors import FedsimError

from .test_calibration import calibration


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "fedsim" / store.FOLDER


def test_what_is_kept_is_found_by_processor_reference_and_image() -> None:
    kept = calibration()
    store.keep(kept)
    assert store.find(kept.processor, kept.reference, kept.image) == kept
    assert store.find("another", kept.reference, kept.image) is None
    assert store.find(kept.processor, kept.reference, "fedsim/engine:2") is None


def test_the_newest_counts_and_the_same_is_replaced() -> None:
    old = calibration()
    new = replace(calibration(one_s=0.3), image="fedsim/engine:2", measured_at="2026-01-02T00:00:00Z")
    for one in (new, old, old):
        store.keep(one)
    assert store.known_for(old.processor) == {old.reference: new}
    assert store.known_for("another") == {}


def test_a_damaged_file_is_as_if_it_were_not_there(state: Path) -> None:
    store.keep(calibration()).write_text("{", encoding="utf-8")
    (state / "other.json").write_text("[]", encoding="utf-8")
    assert store.known_for(calibration().processor) == {}


@pytest.mark.parametrize(
    "change", [{"timings": []}, {"cpu_s": 0}, {"wall_s": -1.0}, {"cpu_s": math.inf}, {"cpus": None}]
)
def test_values_that_quotas_cannot_come_of_are_as_if_they_were_not_there(change: dict[str, Any]) -> None:
    path = store.keep(calibration())
    data = json.loads(path.read_text(encoding="utf-8"))
    if "timings" in change:
        data |= change
    else:
        data["timings"] = [one | change for one in data["timings"]]
    path.write_text(json.dumps(data), encoding="utf-8")
    assert store.known_for(calibration().processor) == {}


def test_a_folder_that_cannot_be_written_is_named(state: Path) -> None:
    state.parent.mkdir(parents=True)
    state.write_text("a file", encoding="utf-8")
    with pytest.raises(FedsimError, match=r"XDG_STATE_HOME"):
        store.keep(calibration())
