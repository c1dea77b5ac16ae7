"""Where the packages that bundle data sets are installed; none is imported."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ..catalog.data_sets import BUNDLED


def package_folder(name: str) -> Path | None:
    """Where the package of a bundled set is installed; None: it is not."""
    spec = importlib.util.find_spec(BUNDLED[name].package)
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def missing_package(name: str) -> str | None:
    """What is to be installed for a bundled set; None: nothing."""
    facts = BUNDLED[name]
    if package_folder(name) is not None:
        return None
    return f"pip install '{facts.install or 'fedsim-runner'}'"
