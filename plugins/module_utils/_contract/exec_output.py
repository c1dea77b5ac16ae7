"""Reading what a command in a container prints, within a time limit.

The Docker SDK reads until the Engine closes the connection. Engine 20.10 does not close it if the container ends
meanwhile, so whoever reads has to look at the container now and then.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from typing import Any, Final

from .errors import Exit, FedsimError

#: The header of a part of the output: its number (1: standard output, 2: errors), and the number of bytes that follow.
FRAME: Final = struct.Struct(">BxxxL")
CHUNK: Final = 65536
#: A connection that does not block has nothing yet, or takes nothing.
NOT_YET: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
#: Seconds of silence after which the container is looked at.
LOOK_AFTER_S: Final = 2.0


class NoOutputError(FedsimError):
    """The output did not come to its end; the text says why."""

    exit = Exit.LAB


def read_output(stream: Any, within_s: float, is_running: Callable[[], bool]) -> tuple[bytes, bytes]:
    """Return a command's standard output and its errors, when it has ended; the connection is closed in any case.

    Args:
        stream: what the SDK's ``exec_start(..., socket=True)`` returned for a command without a terminal.
        within_s: seconds that the command may take.
        is_running: whether its container still runs.

    Raises:
        NoOutputError: it takes longer, or the container has ended.
    """
    channel: socket.socket = getattr(stream, "_sock", stream)
    deadline = time.monotonic() + within_s
    try:
        channel.setblocking(False)
        data = read_ahead(stream)
        while chunk := _next(channel, deadline, is_running):
            data += chunk
    finally:
        close(stream)
    return _split(data)


def read_ahead(stream: Any) -> bytes:
    """Output that arrived together with the response's header, and is in the buffer of the SDK's reader.

    The connection must be one that does not block.
    """
    response = getattr(stream, "_response", None)
    reader = getattr(getattr(getattr(response, "raw", None), "_fp", None), "fp", None)
    if reader is None:
        return b""
    with contextlib.suppress(*NOT_YET):
        waiting = len(reader.peek())
        return bytes(reader.read1(waiting)) if waiting else b""
    return b""


def close(stream: Any) -> None:
    """Close the whole response: a reader that outlives its closed connection raises a warning (Python 3.13)."""
    getattr(stream, "_response", stream).close()


def _next(channel: socket.socket, deadline: float, is_running: Callable[[], bool]) -> bytes:
    """The next output; empty at its end."""
    poll = select.poll()  # select() takes no descriptor above 1023
    poll.register(channel, select.POLLIN)
    while True:
        try:
            return channel.recv(CHUNK)
        except NOT_YET:
            pass
        except ConnectionResetError:
            return b""
        left = deadline - time.monotonic()
        if left <= 0:
            raise NoOutputError("it has not ended in time")
        if not poll.poll(min(left, LOOK_AFTER_S) * 1000) and not is_running():
            raise NoOutputError("the container has ended")


def _split(data: bytes) -> tuple[bytes, bytes]:
    parts = {1: bytearray(), 2: bytearray()}
    while len(data) >= FRAME.size:
        number, size = FRAME.unpack_from(data)
        parts[2 if number == 2 else 1] += data[FRAME.size : FRAME.size + size]
        data = data[FRAME.size + size :]
    return bytes(parts[1]), bytes(parts[2])
