"""Devices that the user names on the command line."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from ..contract.errors import Exit, FedsimError

SHOWN_NAMES = 8


def select_devices(run: str, wanted: Sequence[str], there: Mapping[str, object]) -> list[str]:
    """Names of the devices that are wanted, each once; all of them if none is named.

    Raises:
        FedsimError: the run has no such device.
    """
    if not wanted:
        return list(there)
    for name in wanted:
        if name not in there:
            near = difflib.get_close_matches(name, there, n=3, cutoff=0.4)
            names = sorted(there)
            more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
            hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(names[:SHOWN_NAMES])}{more}"
            raise FedsimError(f"run {run} has no device {name}: {hint}", Exit.SPEC)
    return list(dict.fromkeys(wanted))
