"""What a run has on its testbed."""

from __future__ import annotations

from collections.abc import Sequence

from ..testbed.protocol import Testbed
from ..testbed.values import UnreachableError


def left_over(testbed: Testbed, run: str) -> Sequence[str]:
    """Names of everything; of a testbed that cannot be asked there is none."""
    try:
        return testbed.list().get(run, ())
    except UnreachableError:
        return ()
