"""The error for the inventory of a lab."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..contract.errors import Exit, FedsimError

DOCUMENTED: Final = "docs/labs.md shows one, and inventories/lab/ is an example"


class LabInventoryError(FedsimError):
    """The inventory of a lab cannot be used; the text names the file and every mistake."""

    exit = Exit.SPEC


def error_for(path: Path, mistakes: Sequence[str]) -> LabInventoryError:
    """The error for an inventory with mistakes, each of which names its place."""
    count = f"{len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''} in {path}"
    return LabInventoryError("\n".join([*mistakes, count]), hint=DOCUMENTED)
