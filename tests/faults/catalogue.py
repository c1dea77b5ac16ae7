"""All scenarios: each file of scenarios/ has a tuple ``SCENARIOS``."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from .scenario import Scenario

FOLDER = Path(__file__).parent / "scenarios"


def all_scenarios() -> Sequence[Scenario]:
    """All scenarios in the order of their files."""
    names = sorted(path.stem for path in FOLDER.glob("*.py"))
    modules = [import_module(f"tests.faults.scenarios.{name}") for name in names]
    return [scenario for module in modules for scenario in module.SCENARIOS]
