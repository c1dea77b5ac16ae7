"""How a participant ends: exactly once, reliably and with a record, from any thread.

A library's threads may prevent an interpreter from ever shutting down, and a Python signal handler does not run while
the main thread is inside C code. So the process is ended by ``os._exit`` after ``exit.json`` is written, and a separate
thread watches for SIGTERM.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

from ..contract import atomic
from ..contract.paths import EXIT_RECORD
from ..contract.records import ExitRecord
from .exit_errors import EXIT_FAILED, EXIT_TERMINATED
from .usage import cpu_seconds, interface_bytes, memory_peak_bytes

# Time after SIGTERM at which the process is ended although the main thread has not reacted.
TERMINATE_S = 1.0


class Terminated(BaseException):
    """SIGTERM arrived. Not an Exception, so that no engine swallows it."""


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # raised once: nothing may interrupt the end
    raise Terminated


class Ending:
    """The end of this process and the record of it."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._lock = threading.RLock()  # SIGTERM may interrupt an end, which then starts again
        self._record = ExitRecord(started=time.time())
        self._before: tuple[int | None, int | None] = (None, None)

    def prepare(self, folder: Path) -> None:
        """From now on SIGTERM ends the process; the record is written to ``folder``. Call this in the main thread."""
        self._folder = folder
        # As PID 1 a process has no default action for SIGTERM: without a handler `docker stop` waits its ten seconds.
        signal.signal(signal.SIGTERM, _terminate)
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(ours, theirs), name="ending", daemon=True).start()

    def gate_opened(self, at: float) -> None:
        """Record when the gate opened (unix seconds), and what was used until now, when it is passed."""
        self._record.gate_opened = at
        self._record.startup_cpu_seconds = round(cpu_seconds(), 3)
        self._before = interface_bytes()  # what measured the link

    def reference_timed(self, step_s: float, timed_s: float) -> None:
        """Record what a reference step took within the device's limit, and for how long it was timed."""
        self._record.reference_step_seconds = round(step_s, 6)
        self._record.reference_timed_seconds = round(timed_s, 4)

    def give_up(self, reason: str) -> NoReturn:
        """End with exit code 1 and a one-line reason, from any thread."""
        self.end(EXIT_FAILED, error=reason)

    def end(self, code: int, *, error: str | None = None, by: str | None = None) -> NoReturn:
        """Write the record and end the process; a second caller waits for the end that is in progress.

        Args:
            by: name of the signal that requested the end.
        """
        self._lock.acquire()  # never released: there is one end
        record = self._record
        record.exit_code, record.signal, record.error = code, by, " ".join(error.split()) if error else None
        if record.error:
            _print_error(record.error)
        if self._folder is not None:
            self._write(self._folder)
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        # gRPC's threads may still run: their results are no longer needed.
        os._exit(code)

    def _watch(self, signals: socket.socket, keep: socket.socket) -> None:
        """Read the numbers of arriving signals; ``keep`` is the other end, which must not be closed."""
        while number := signals.recv(1):
            if number[0] == signal.SIGTERM:
                time.sleep(TERMINATE_S)
                self.end(EXIT_TERMINATED, error="ended by SIGTERM", by="SIGTERM")
        keep.close()

    def _write(self, folder: Path) -> None:
        in_container = os.getpid() == 1
        record = self._record
        record.ended = time.time()
        if in_container:
            record.rx_bytes, record.tx_bytes = map(_since, interface_bytes(), self._before)
        record.memory_peak_bytes = memory_peak_bytes(in_container)
        record.cpu_seconds = round(cpu_seconds(), 3)
        try:
            atomic.write(folder / EXIT_RECORD, record.as_text())
        except OSError as error:
            _print_error(f"cannot write {folder / EXIT_RECORD}: {error}")


def _since(now: int | None, before: int | None) -> int | None:
    """What has been counted since; None if that is unknown: the agent has counted, too."""
    return None if now is None or before is None else now - before


def _print_error(text: str) -> None:
    """Print one line on the console, whose disk may be full; the end must not depend on it."""
    with contextlib.suppress(OSError):
        print(f"participant: {text}", file=sys.stderr, flush=True)


ENDING = Ending()
