"""What placement refuses."""

from __future__ import annotations

from ..contract.errors import Exit, FedsimError


class PlacementError(FedsimError):
    """The experiment does not fit the lab. The text says what does not fit and what helps."""

    exit = Exit.LAB
