"""The agent's side of the process: starting it, sending it requests, ending it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..processes.command_channel import CommandChannel
from .due_requests import Part, encode
from .requests import Outcome

_NAME = "the process that changes links"
_END_TIMEOUT_S = 5.0


class ChangingProcess:
    """A running process, and the channel to it.

    All methods but the first and the last raise an OSError if it has ended or does not answer.
    """

    def __init__(self) -> None:
        package = __package__ or "changing"
        root = str(Path(__file__).resolve().parents[package.count(".") + 1])
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", package, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": path},
            )
        descriptor = self._socket.fileno()
        self._channel = CommandChannel(_NAME, descriptor, descriptor, self._process.kill)

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    def open(self, namespaces: Mapping[str, str]) -> dict[str, str]:
        """Have it change links in these namespaces of devices; return the reasons where that is not possible."""
        failed: dict[str, str] = self._channel.ask({"op": "open", "namespaces": dict(namespaces)})["failed"]
        return failed

    def close(self, device: str) -> None:
        """Have it let a device's namespace go."""
        self._channel.tell([{"op": "close", "device": device}])

    def change(self, number: int, at_s: float, parts: Sequence[Part]) -> None:
        """Have it make a change at this time of the monotonic clock."""
        self._channel.tell([{"op": "change", "number": number, "at": at_s, **encode(parts)}])

    def see(self, number: int) -> Outcome:
        """What has become of a change; one that still waits is made now."""
        answer = self._channel.ask({"op": "changed", "number": number})
        return Outcome(answer["late_s"], [(device, item) for device, item in answer["made"]], answer["refused"])

    def stop(self) -> None:
        """End it."""
        self._socket.close()
        try:
            self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
