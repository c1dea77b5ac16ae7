"""The error raised when an experiment does not fit the lab."""

from __future__ import annotations

from ..contract.errors import Exit, FedsimError


class PlacementError(FedsimError):
    """The experiment does not fit the lab. The text says what does not fit and how to fix it."""

    exit = Exit.LAB
