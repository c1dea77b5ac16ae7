"""Commands to a process of the agent on one channel: JSON lines, and an answer to each that has one."""

from __future__ import annotations

import json
import os
from collections import deque
from typing import Any


class Commands:
    """Reads commands and writes answers.

    Args:
        reads: descriptor to read from.
        writes: descriptor to write to.

    Attributes:
        reads: the same.
    """

    def __init__(self, reads: int, writes: int) -> None:
        self.reads = reads
        self._writes = writes
        self._pending = b""
        self._lines: deque[bytes] = deque()

    def __bool__(self) -> bool:
        """Whether there is a command that was read and not taken."""
        return bool(self._lines)

    def read(self) -> bool:
        """Read what there is; return whether there may be more later."""
        data = os.read(self.reads, 1 << 20)
        *lines, self._pending = (self._pending + data).split(b"\n")
        self._lines += lines
        return bool(data)

    def take(self) -> dict[str, Any]:
        """The next command."""
        command: dict[str, Any] = json.loads(self._lines.popleft())
        return command

    def answer(self, said: dict[str, Any]) -> None:
        """Answer the command that was taken last."""
        data = json.dumps(said).encode() + b"\n"
        while data:
            data = data[os.write(self._writes, data) :]
