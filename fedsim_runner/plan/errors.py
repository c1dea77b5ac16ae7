"""What placement refuses."""

from __future__ import annotations

from ..contract.errors import Exit, FedsimError


class PlacementError(FedsimError):
    """The experiment does not fit the lab. The text says what does not fit and how to mend it."""

    exit = Exit.LAB
