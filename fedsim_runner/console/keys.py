"""Single keys that a user presses while something is drawn, without Enter and without an echo."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

Key = Literal["up", "down", "page up", "page down", "top", "bottom"]

# What terminals send, in either mode of their cursor keys, and what pagers know.
_KEYS: dict[bytes, Key] = {
    **dict.fromkeys((b"\x1b[A", b"\x1bOA", b"k"), "up"),
    **dict.fromkeys((b"\x1b[B", b"\x1bOB", b"j", b"\r", b"\n"), "down"),
    **dict.fromkeys((b"\x1b[5~", b"b"), "page up"),
    **dict.fromkeys((b"\x1b[6~", b" "), "page down"),
    **dict.fromkeys((b"\x1b[H", b"\x1bOH", b"\x1b[1~", b"g"), "top"),
    **dict.fromkeys((b"\x1b[F", b"\x1bOF", b"\x1b[4~", b"G"), "bottom"),
}
assert set(_KEYS.values()) == set(get_args(Key))
_LOCAL_MODES = 3  # of what tcgetattr returns
_LOOK_S = 1.0  # at whether the program has come to the foreground


def read_keys(typed: bytes) -> Iterator[Key]:
    """Return the keys in what was typed; anything else is ignored."""
    while typed:
        found = next((sent for sent in _KEYS if typed.startswith(sent)), None)
        if found is not None:
            yield _KEYS[found]
        typed = typed[len(found or b"x") :]


class Keys:
    """Calls ``pressed`` in a thread for each key, between :meth:`start` and :meth:`stop`, if a terminal is read.

    Ctrl-C and Ctrl-Z do what they always do. In the background nothing is read, since that would stop the program.
    """

    def __init__(self, pressed: Callable[[Key], None]) -> None:
        self._pressed = pressed
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ends = (-1, -1)

    @property
    def available(self) -> bool:
        """Whether standard input is a terminal, so that keys may come."""
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or replaced
            return os.isatty(sys.stdin.fileno())
        return False

    def start(self) -> None:
        """Read keys from now on."""
        with self._lock:
            if self._thread is not None or not self.available:
                return
            self._ends = os.pipe()
            self._thread = threading.Thread(target=self._read, args=(sys.stdin.fileno(), self._ends[0]), daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Leave the terminal as it was. Safe to call twice."""
        with self._lock:
            if self._thread is None:
                return
            os.write(self._ends[1], b"x")
            self._thread.join()
            self._thread = None
            for end in self._ends:
                os.close(end)

    def _read(self, terminal: int, end: int) -> None:
        # Otherwise a program in the background would be stopped for changing the terminal's modes.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        before = None
        try:
            while True:
                here = _in_foreground(terminal)
                if here and before is None:
                    before = _without_echo(terminal)
                ready = select.select([end, *([terminal] if here else [])], [], [], _LOOK_S)[0]
                if end in ready:
                    return
                if ready and _in_foreground(terminal):
                    typed = os.read(terminal, 64)
                    if not typed:  # the terminal is gone
                        return
                    for key in read_keys(typed):
                        self._pressed(key)
        except (OSError, termios.error):
            return
        finally:
            if before is not None:
                with contextlib.suppress(termios.error):
                    termios.tcsetattr(terminal, termios.TCSANOW, before)


def _in_foreground(terminal: int) -> bool:
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:  # not this session's terminal
        return False


def _without_echo(terminal: int) -> list[Any]:
    """Let the terminal deliver each key at once, unseen; return its modes before."""
    before = termios.tcgetattr(terminal)
    changed = termios.tcgetattr(terminal)
    changed[_LOCAL_MODES] &= ~(termios.ICANON | termios.ECHO)
    termios.tcsetattr(terminal, termios.TCSANOW, changed)
    return before
