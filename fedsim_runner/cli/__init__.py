"""The command ``fedsim-provision``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from . import machine_limits
from .process_start import leave_quietly_on_signals, open_missing_streams


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit with its code (see :class:`~fedsim_runner.contract.errors.Exit`)."""
    leave_quietly_on_signals()
    open_missing_streams()
    machine_limits.find_programs()
    if too_low := machine_limits.allow_open_files():
        _refuse(too_low)
    # These imports take most of the first half second, in which Ctrl-C must not end in a traceback.
    try:
        from .entry import main as run
    except (MemoryError, OSError, ImportError) as error:
        if limit := machine_limits.explain(error):
            _refuse(limit)
        raise
    try:
        run(arguments)
    except MemoryError:  # while another error was being reported
        _refuse(machine_limits.out_of_memory())


def _refuse(text: str) -> NoReturn:
    os.write(2, f"error: {text}\n".encode())
    sys.exit(_LAB)


_LAB = 3  # Exit.LAB, whose module is not imported yet

__all__ = ["main"]
