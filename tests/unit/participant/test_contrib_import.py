"""Modules of FederatedScope's contrib folders are imported one by one: one that fails is left out."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedsim_runner.participant.federatedscope import contrib_import

INIT = """
from pathlib import Path
__all__ = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
"""
MODULES = {
    "a_lacks": "KEPT = 1\nimport a_package_that_nobody_has\n",
    "b_wrong": "1 / 0\n",
    "c_needs": "from toyscope.contrib.model.a_lacks import Block\n",
    "d_mine": "MINE = 4\n",
}


@pytest.fixture
def contrib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[contrib_import.ContribFinder]:
    """A finder for the package ``toyscope``, which has such a folder."""
    folder = tmp_path / "toyscope" / "contrib" / "model"
    folder.mkdir(parents=True)
    for package in (folder.parent.parent, folder.parent):
        (package / "__init__.py").touch()
    (folder / "__init__.py").write_text(INIT, encoding="utf-8")
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(contrib_import, "FOLDER", "toyscope.contrib")
    finder = contrib_import.ContribFinder()
    monkeypatch.setattr(contrib_import, "_FINDER", finder)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield finder
    for name in [name for name in sys.modules if name.startswith("toyscope")]:
        del sys.modules[name]


def test_without_it_the_first_module_ends_the_import(contrib: contrib_import.ContribFinder) -> None:
    with pytest.raises(ModuleNotFoundError, match="a_package_that_nobody_has"):
        exec("from toyscope.contrib.model import *", {})
    assert contrib_import.describe_left_out() == ""


def test_each_module_is_imported_and_each_failure_named(contrib: contrib_import.ContribFinder) -> None:
    contrib_import.leave_out_what_fails()
    contrib_import.leave_out_what_fails()
    assert sys.meta_path.count(contrib) == 1
    found: dict[str, object] = {}
    exec("from toyscope.contrib.model import *", found)
    assert importlib.import_module("toyscope.contrib.model.d_mine").MINE == 4
    assert set(contrib.left_out) == {"model/a_lacks.py", "model/b_wrong.py", "model/c_needs.py"}
    described = contrib_import.describe_left_out()
    assert "contrib/model/a_lacks.py (ModuleNotFoundError: No module named 'a_package_that_nobody_has')" in described
    assert "contrib/model/b_wrong.py (ZeroDivisionError: division by zero)" in described
    assert "c_needs.py (ImportError: toyscope.contrib.model.a_lacks could not be imported: Module" in described


def test_whoever_needs_what_was_left_out_is_told_why(contrib: contrib_import.ContribFinder) -> None:
    contrib_import.leave_out_what_fails()
    module = importlib.import_module("toyscope.contrib.model.a_lacks")
    assert module.KEPT == 1
    with pytest.raises(ImportError, match="a_lacks could not be imported: ModuleNotFoundError"):
        _ = module.Block
    assert not hasattr(module, "__path__")


def test_nothing_else_is_touched(contrib: contrib_import.ContribFinder) -> None:
    folder = "toyscope.contrib.model"
    for name in ("toyscope", "toyscope.contrib", folder, f"{folder}.a_lacks.deeper", "toyscope.core.model.x", "json"):
        assert contrib.find_spec(name, None) is None
