"""The agent's side of the packet process (packets.py): starting it, sending commands, ending it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fedsim_runner.contract.process_state import is_stopped

from ...processes.command_channel import CommandChannel

_NAME = "the packet process"
_END_TIMEOUT_S = 30.0
#: Seconds for which the process may be stopped: a debugger's or a stray signal's moment ends nothing.
_STOPPED_S = 2.0


class PacketProcess:
    """A running packet process and the channels to it.

    Changes of links have one of their own. A thread that has asked for something else may not run for long beside
    devices that compute, and the next one to ask waits for it.
    """

    def __init__(self) -> None:
        package = __package__ or "userspace"
        root = str(Path(__file__).resolve().parents[package.count(".") + 1])
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        self._changes, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", package, str(theirs.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": path},
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        stdin, stdout, changes = self._process.stdin.fileno(), self._process.stdout.fileno(), self._changes.fileno()
        self._other = CommandChannel(_NAME, stdin, stdout, self._process.kill)
        self._change = CommandChannel(_NAME, changes, changes, self._process.kill)
        self._stopped_since: float | None = None

    def failure(self) -> str | None:
        """Why it passes no packets; None while it does."""
        if self._process.poll() is not None:
            return "the agent's packet process has ended"
        if not is_stopped(self._process.pid):
            self._stopped_since = None
            return None
        now = time.monotonic()
        self._stopped_since = self._stopped_since or now
        return "the agent's packet process is frozen" if now - self._stopped_since >= _STOPPED_S else None

    def change(self, parts: Iterable[Mapping[str, Any]]) -> None:
        """Send the parts of a change, all at once; they are not answered.

        Raises:
            OSError: the process has ended.
        """
        self._change.tell(parts)

    def see_change(self, number: int) -> dict[str, Any]:
        """Wait for what has become of a change; errors as those of the next method."""
        return self._change.ask({"op": "changed", "number": number})

    def ask(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Send any other command and wait for its answer.

        Raises:
            OSError: the process has ended, or does not answer.
        """
        return self._other.ask(command)

    def stop(self) -> None:
        """End the process: its queues then have no listener, and packets for them are dropped."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._changes.close()
