"""docs/architecture.md sends nobody to a file that is not there."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
PAGE = REPOSITORY / "docs" / "architecture.md"
PATH = re.compile(r"`([\w/]+(?:\.py|\.yml|\.toml|/))`")


def missing_paths(cell: str, repository: Path) -> list[str]:
    """The paths of a cell that are neither in the package, nor in the repository, nor near the path before."""
    found = []
    folder = repository
    for name in PATH.findall(cell):
        places = [repository / "fedsim_runner" / name, repository / name, folder / name, folder.parent / name]
        path = next((place for place in places if place.exists()), None)
        if path is None:
            found.append(name)
        else:
            folder = path if path.is_dir() else path.parent
    return found


def test_each_place_to_put_something_exists() -> None:
    rows = PAGE.read_text(encoding="utf-8").split("## Where to put what\n")[1].split("\n## ")[0].splitlines()
    cells = [row.strip("|").split("|")[1] for row in rows if row.startswith("|")]
    assert len(cells) > 50
    assert [name for cell in cells for name in missing_paths(cell, REPOSITORY)] == []


def test_a_file_that_has_moved_is_found(tmp_path: Path) -> None:
    (tmp_path / "fedsim_runner" / "plan").mkdir(parents=True)
    (tmp_path / "fedsim_runner" / "plan" / "gpus.py").touch()
    assert missing_paths("`plan/gpus.py`, `pins.py`; `plan/`, `setup.py`", tmp_path) == ["pins.py", "setup.py"]
