"""What a run still has on its testbed."""

from __future__ import annotations

from collections.abc import Sequence

from ..testbed.protocol import Testbed
from ..testbed.values import UnreachableError


def left_over(testbed: Testbed, run: str) -> Sequence[str]:
    """The names of everything that the run has there; empty if the testbed does not answer."""
    try:
        return testbed.list().get(run, ())
    except UnreachableError:
        return ()
