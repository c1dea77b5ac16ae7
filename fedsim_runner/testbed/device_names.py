"""Devices that the user names on the command line."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from ..contract.errors import Exit, FedsimError

SHOWN_NAMES = 8


def select_devices(run: str, requested: Sequence[str], present: Mapping[str, object]) -> list[str]:
    """Names of the requested devices, each once; all devices if none is named.

    Raises:
        FedsimError: the run has no such device.
    """
    if not requested:
        return list(present)
    for name in requested:
        if name not in present:
            near = difflib.get_close_matches(name, present, n=3, cutoff=0.4)
            names = sorted(present)
            more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
            hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(names[:SHOWN_NAMES])}{more}"
            raise FedsimError(f"run {run} has no device {name}: {hint}", Exit.SPEC)
    return list(dict.fromkeys(requested))
