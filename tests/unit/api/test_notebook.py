"""The notebook of the examples, executed as Jupyter executes it; and a page that describes all public names."""

from __future__ import annotations

import inspect
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from fedsim_runner import api

REPOSITORY = Path(__file__).parents[3]
EXAMPLES = REPOSITORY / "examples"


@pytest.mark.course
@pytest.mark.drawing
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    for variable in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR", "XDG_STATE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    work = tmp_path / "examples"
    work.mkdir()
    shutil.copy(EXAMPLES / "quickstart.yaml", work)
    notebook = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    nbformat.validate(notebook)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(work)}}).execute()
    shown = {cell.source: _shown(cell) for cell in notebook.cells if cell.cell_type == "code"}
    assert "finished" in shown["run = await started\nrun"]["text/plain"]
    assert float(shown['run.final["test_acc"]']["text/plain"]) > 0.8
    assert shown['run.plot("accuracy")']["image/svg+xml"].startswith("<svg")
    assert shown['compared.plot("accuracy")']["image/svg+xml"].startswith("<svg")
    assert (work / "timeline.pdf").read_bytes().startswith(b"%PDF")
    # The second course starts where the first has ended, not at chance.
    ((first, _),) = [
        shown[source]["text/plain"].strip("[]").split(",") for source in shown if "continued.yaml" in source
    ]
    assert float(first) > 0.8


def test_it_is_kept_without_results() -> None:
    assert '"outputs": []' in (text := (EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))
    assert not re.search(r'"outputs": \[[^\]]', text)
    assert not re.search(r'"execution_count": [^n]', text)


def test_a_page_describes_every_public_name() -> None:
    page = (REPOSITORY / "docs" / "python.md").read_text(encoding="utf-8")
    missing = [name for name in api.__all__ if f"`{name}" not in page]
    for kind in (api.Run, api.StartedRun, api.Rows, api.Plot, api.Comparison, api.SavedModel):
        names = {*vars(kind), *getattr(kind, "__annotations__", ())}
        missing += [f"{kind.__name__}.{name}" for name in names if name[0] != "_" and f"`{name}" not in page]
    assert not missing
    assert all(inspect.getdoc(getattr(api, name)) for name in api.__all__ if name != "Row")


def _shown(cell: Any) -> dict[str, str]:
    return next((dict(one.data) for one in cell.outputs if one.output_type == "execute_result"), {})
