"""The agent's side of the packet process (packets.py): starting it, sending commands, ending it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedsim_runner.contract.process_state import is_stopped

_END_TIMEOUT_S = 30.0
#: Seconds for one answer: all of a lab host's devices are set by one command.
_ANSWER_WITHIN_S = 20.0
#: Seconds for which the process may be stopped: a debugger's or a stray signal's moment ends nothing.
_STOPPED_S = 2.0


class PacketProcess:
    """A running packet process and the pipes to it."""

    def __init__(self) -> None:
        package = __package__ or "userspace"
        root = str(Path(__file__).resolve().parents[package.count(".") + 1])
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        self._process = subprocess.Popen(
            [sys.executable, "-m", package],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        self._lock = threading.Lock()
        self._read = b""
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

    def ask(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Send one command and wait for its answer.

        Raises:
            OSError: the process has ended, or does not answer.
        """
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._read_line())
        return answer

    def _read_line(self) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        poll = select.poll()  # select() takes no descriptor above 1023, and the agent has several open for each device
        poll.register(descriptor, select.POLLIN)
        deadline = time.monotonic() + _ANSWER_WITHIN_S
        while b"\n" not in self._read:
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                self._process.kill()  # a late answer would be taken for that to the next command
                raise OSError(f"the packet process has not answered in {_ANSWER_WITHIN_S:g} s")
            data = os.read(descriptor, 1 << 20)
            if not data:
                raise OSError("the packet process has ended")
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        return line

    def stop(self) -> None:
        """End the process: its queues then have no listener, and packets for them are dropped."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
