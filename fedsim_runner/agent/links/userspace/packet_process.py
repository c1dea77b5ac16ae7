"""The agent's side of the packet process (packets.py): starting it, sending commands, ending it."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from fedsim_runner.contract.process_state import is_stopped

_END_TIMEOUT_S = 30.0
#: Seconds for one answer: all of a lab host's devices are set by one command.
_ANSWER_WITHIN_S = 20.0
#: Seconds for which the process may be stopped: a debugger's or a stray signal's moment ends nothing.
_STOPPED_S = 2.0


class _Channel:
    """Commands to the process, and its answers, on one pair of descriptors."""

    def __init__(self, writes: int, reads: int, kill: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self._writes, self._reads, self._kill = writes, reads, kill
        self._read = b""

    def tell(self, commands: Iterable[Mapping[str, Any]]) -> None:
        data = b"".join(json.dumps(command).encode() + b"\n" for command in commands)
        with self._lock:
            self._write(data)

    def ask(self, command: Mapping[str, Any]) -> dict[str, Any]:
        data = json.dumps(command).encode() + b"\n"
        with self._lock:
            self._write(data)
            line = self._read_line()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._writes, data) :]

    def _read_line(self) -> bytes:
        poll = select.poll()  # select() takes no descriptor above 1023, and the agent has several open for each device
        poll.register(self._reads, select.POLLIN)
        deadline = time.monotonic() + _ANSWER_WITHIN_S
        while b"\n" not in self._read:
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                self._kill()  # a late answer would be taken for that to the next command
                raise OSError(f"the packet process has not answered in {_ANSWER_WITHIN_S:g} s")
            data = os.read(self._reads, 1 << 20)
            if not data:
                raise OSError("the packet process has ended")
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        return line


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
        self._other = _Channel(stdin, stdout, self._process.kill)
        self._change = _Channel(changes, changes, self._process.kill)
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
