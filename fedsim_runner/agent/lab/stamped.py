"""UDP datagrams with the time at which the kernel received them: how busy Python is does not count as the network."""

from __future__ import annotations

import socket
import struct
import time

_SO_TIMESTAMPNS = 35  # asm-generic/socket.h; its control message has the same number
_TIMESPEC = struct.Struct("@ll")
_LONGEST = 2048


def stamp_arrivals(endpoint: socket.socket) -> None:
    """Have the kernel stamp what arrives (socket(7), SO_TIMESTAMPNS)."""
    endpoint.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def receive(endpoint: socket.socket) -> tuple[bytes, tuple[str, int], float]:
    """Return a datagram, its sender, and when the kernel received it (Unix seconds).

    Raises:
        OSError: none has come.
    """
    data, control, _, sender = endpoint.recvmsg(_LONGEST, socket.CMSG_SPACE(_TIMESPEC.size))
    now = time.time()
    for level, kind, content in control:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(content) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(content)
            return data, sender, seconds + nanoseconds / 1e9
    return data, sender, now
