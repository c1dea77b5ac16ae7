"""The list of public files that run end to end: the page has what the program runs, on data of the right shape."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
courses: Any = import_module("tools.public_courses")
STAND_INS = [kind for kind in courses.KINDS if isinstance(kind.data, courses.Arrays)]


def test_the_page_lists_what_the_program_runs() -> None:
    page = (REPOSITORY / "docs" / "federatedscope-support.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `") and line.count("|") == 4]
    listed = {(row.split("|")[1].strip(" `"), row.split("|")[2].strip(), row.split("|")[3].strip()) for row in rows}
    assert {(kind.file, kind.stands_for, str(kind.data)) for kind in courses.KINDS} <= listed


def test_at_least_twenty_kinds_and_none_twice() -> None:
    assert len({kind.file for kind in courses.KINDS}) == len({kind.stands_for for kind in courses.KINDS}) >= 20


@pytest.mark.parametrize("kind", STAND_INS, ids=lambda kind: Path(kind.file).stem)
def test_data_that_stand_in_have_the_shape_of_the_original(kind: Any, tmp_path: Path) -> None:
    said = kind.data.write(tmp_path / "samples.npz", kind.clients)
    assert said == "{dataset: npz, path: samples.npz, split: iid}"
    with np.load(tmp_path / "samples.npz", allow_pickle=False) as found:
        x, y = found["x"], found["y"]
    assert x.shape == (len(y), *kind.data.shape)
    assert len(y) >= 20 * (kind.clients + 1)
    assert x.dtype.kind == ("i" if kind.data.tokens else "f")
    assert len(set(y.tolist())) == kind.data.classes if kind.data.classes else y.dtype == np.float32
