"""Commands to a process of the agent, and its answers (commands.py), on one pair of descriptors."""

from __future__ import annotations

import json
import os
import select
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

#: Seconds for one answer: all of a lab host's devices are set by one command.
_ANSWER_WITHIN_S = 20.0


class CommandChannel:
    """A channel to a process. Thread-safe: one command at a time is answered.

    Args:
        process: what it is, for people.
        writes: descriptor to write to.
        reads: descriptor to read from.
        kill: ends the process.
    """

    def __init__(self, process: str, writes: int, reads: int, kill: Callable[[], None]) -> None:
        self._process = process
        self._lock = threading.Lock()
        self._writes, self._reads, self._kill = writes, reads, kill
        self._read = b""

    def tell(self, commands: Iterable[Mapping[str, Any]]) -> None:
        """Send commands, all at once, that are not answered.

        Raises:
            OSError: the process has ended.
        """
        data = b"".join(json.dumps(command).encode() + b"\n" for command in commands)
        with self._lock:
            self._write(data)

    def ask(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Send a command and wait for its answer.

        Raises:
            OSError: the process has ended, or does not answer.
        """
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
                raise OSError(f"{self._process} has not answered in {_ANSWER_WITHIN_S:g} s")
            data = os.read(self._reads, 1 << 20)
            if not data:
                raise OSError(f"{self._process} has ended")
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        return line
