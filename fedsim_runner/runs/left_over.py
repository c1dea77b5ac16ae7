"""What a run still has on its testbed."""

from __future__ import annotations

from collections.abc import Sequence

from ..testbed.protocol import Testbed
from ..testbed.values import UnreachableError


def left_over(testbed: Testbed, run: str) -> Sequence[str]:
    """The names of everything that the run has there; of a lab, on those hosts that answer."""
    try:
        return testbed.list().get(run, ())
    except UnreachableError as error:
        return error.found.get(run, ())


def why_unknown(testbed: Testbed) -> UnreachableError | None:
    """Why not all is known that runs have there; None if every lab host answers."""
    try:
        testbed.list()
    except UnreachableError as error:
        return error
    return None
