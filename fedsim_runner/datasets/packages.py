"""Finding the packages that bundle data sets, without importing them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ..catalog.data_sets import BUNDLED


def package_folder(name: str) -> Path | None:
    """Find the folder of a bundled set's package; None: it is not installed."""
    spec = importlib.util.find_spec(BUNDLED[name].package)
    folders = spec.submodule_search_locations if spec else None
    return Path(next(iter(folders))) if folders else None


def missing_package(name: str) -> str | None:
    """Return the command that installs a bundled set's package; None: it is installed."""
    facts = BUNDLED[name]
    if package_folder(name) is not None:
        return None
    return f"pip install '{facts.install or 'fedsim-runner'}'"
