"""ICMP echo: whether packets of a size reach others, and how long they take. The other end's kernel answers.

Forms: RFC 792. A raw socket takes CAP_NET_RAW and no port, so that any number of runs may measure at once.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_REQUEST, _REPLY = 8, 0
_HEADER = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence
_IP_HEADER_BYTES = 20
_IP_MTU_DISCOVER, _PROBE = 10, 3  # DF is set, and what is known of the path does not matter
_SO_RCVBUFFORCE = 33
_BUFFER_BYTES = 8 << 20


@dataclass(frozen=True)
class Request:
    """``bytes_``: of the whole IPv4 packet."""

    address: str
    bytes_: int


class Echo:
    """Sends requests, and takes note of the answers.

    Everything is in the network namespace in which this was made.
    """

    def __init__(self) -> None:
        """Open the socket.

        Raises:
            OSError: the process may not.
        """
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_ICMP)
        self._socket.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PROBE)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        self._socket.setblocking(False)
        self._identifier = int.from_bytes(os.urandom(2))
        self._sequence = 0
        self._sent: dict[int, tuple[Request, float]] = {}

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def ask(self, requests: Iterable[Request], within_s: float) -> Mapping[Request, float]:
        """Send each request once, and wait until all are answered.

        Returns:
            Seconds until the answer, of those that were answered in time.
        """
        found: dict[Request, float] = {}
        self._sent.clear()
        for request in requests:
            if self._send(request):
                self._receive(found)
        deadline = time.monotonic() + within_s
        poll = select.poll()  # select() takes no descriptor above 1023, and an agent has more
        poll.register(self._socket, select.POLLIN)
        while len(found) < len(self._sent) and (left := deadline - time.monotonic()) > 0:
            if poll.poll(left * 1000):
                self._receive(found)
        return found

    def _send(self, request: Request) -> bool:
        self._sequence = (self._sequence + 1) & 0xFFFF
        body = bytes(max(0, request.bytes_ - _IP_HEADER_BYTES - _HEADER.size))
        head = _HEADER.pack(_REQUEST, 0, 0, self._identifier, self._sequence)
        head = _HEADER.pack(_REQUEST, 0, _checksum(head), self._identifier, self._sequence)
        sent_at = time.monotonic()
        try:
            self._socket.sendto(head + body, (request.address, 0))
        except OSError as error:
            if error.errno in (errno.EMSGSIZE, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EPERM, errno.ENOBUFS):
                return False
            raise
        self._sent[self._sequence] = request, sent_at
        return True

    def _receive(self, found: dict[Request, float]) -> None:
        while True:
            try:
                packet, (sender, _) = self._socket.recvfrom(1 << 16)
            except BlockingIOError:
                return
            now = time.monotonic()
            start = (packet[0] & 0xF) * 4
            if len(packet) < start + _HEADER.size:
                continue
            kind, _, _, identifier, sequence = _HEADER.unpack_from(packet, start)
            request, sent_at = self._sent.get(sequence, (None, 0.0))
            if (kind, identifier) == (_REPLY, self._identifier) and request is not None and request.address == sender:
                found.setdefault(request, now - sent_at)


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of an even number of bytes, and of any number of zeros behind them."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF
