"""What must be so before anything else is imported: the signals to stop, and open standard streams."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130  # Exit.INTERRUPTED, whose module is not imported yet


def leave_quietly_on_signals() -> None:
    """End at once, with a word and the exit code of an interruption: nothing has been made yet."""
    _handle(_leave)


def raise_on_signals() -> None:
    """Raise KeyboardInterrupt, so that whatever is being done cleans up after itself."""
    _handle(signal.default_int_handler)


def ignore_signals() -> None:
    """Everything is done, and the exit code is known."""
    _handle(signal.SIG_IGN)


def open_missing_streams() -> None:
    """Open /dev/null in place of standard streams that were closed (``>&-``).

    The next file would get the number of a closed one, and programs that are started here would write into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is the one that is missing.
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
            os.set_inheritable(number, True)


def _handle(handler: Callable[[int, FrameType | None], Any] | signal.Handlers) -> None:
    for number in SIGNALS:
        # nohup makes a program ignore this one on purpose.
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    os.write(2, b"error: interrupted\n")
    os._exit(INTERRUPTED)
