"""The command ``fedsim-provision``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from .process_start import leave_quietly_on_signals, open_missing_streams


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit with its code (see :class:`~fedsim_runner.contract.errors.Exit`)."""
    leave_quietly_on_signals()
    open_missing_streams()
    # These imports take most of the first half second, in which Ctrl-C must not end in a traceback.
    from .entry import main as run

    run(arguments)


__all__ = ["main"]
