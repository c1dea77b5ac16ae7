"""The agent's side of the packet process (packets.py): starting it, sending commands, ending it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_END_TIMEOUT_S = 30.0
_ANSWER_TIMEOUT_S = 20.0


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

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Send one command and wait for its answer.

        Raises:
            OSError: the process has ended, or has not answered in time.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
            answers = select.poll()
            answers.register(self._process.stdout, select.POLLIN)
            if not answers.poll(_ANSWER_TIMEOUT_S * 1000):
                raise OSError(f"the packet process has not answered in {_ANSWER_TIMEOUT_S:g} s")
            line = self._process.stdout.readline()
        if not line:
            raise OSError("the packet process has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        """End the process: its queues then have no listener, and packets for them are dropped."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
