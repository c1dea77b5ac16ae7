"""Whether the run's state folder is still there: without it nothing of a course can be recorded or collected."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path

from fedsim_runner.contract.paths import StateFolder

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)


def find_deleted(state: StateFolder, devices: Iterable[str]) -> str | None:
    """Name what has been deleted of the state folder; None if nothing has.

    Args:
        state: the run's state folder.
        devices: the devices whose output folders must be there.
    """
    if _is_deleted(state.path):
        return f"the run's state folder {state.path} has been deleted"
    needed = (state.agent, state.gate, *map(state.outputs, devices))
    return next((f"folder {path} has been deleted" for path in needed if _is_deleted(path)), None)


def _is_deleted(folder: Path) -> bool:
    try:
        # Mounted into this container, a deleted folder can still be entered, but nothing leads to it any longer.
        return folder.stat().st_nlink == 0
    except OSError as error:
        return error.errno in _GONE
