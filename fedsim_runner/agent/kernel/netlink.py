"""Requests to the kernel over rtnetlink, and the form of what they consist of."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_HEADER = struct.Struct("=IHHII")  # length, kind, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # length, kind
#: What an attribute has before its value.
HEAD_BYTES = _ATTRIBUTE.size

_INDEX, _PLACE = struct.Struct("=i"), 4  # an interface's number in the body of what is about one

_ERROR, _DONE = 2, 3
_REQUEST, _ACK = 0x1, 0x4
_TOGETHER_BYTES = 32_000
#: Flags of a request: the whole table; for what is to be made, replace what there is, refuse that, or create.
DUMP, REPLACE, EXCLUSIVE, CREATE = 0x300, 0x100, 0x200, 0x400


def open_channel() -> socket.socket:
    """A channel to the kernel about the calling thread's network namespace, which it keeps from ending."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)


def ask(kind: int, flags: int, body: bytes, channel: socket.socket | None = None) -> list[bytes]:
    """Send one request and return the bodies of all replies.

    Args:
        channel: to the namespace; None: the calling thread's.

    Raises:
        OSError: the kernel refuses it.
    """
    if channel is None:
        with open_channel() as own:
            return ask(kind, flags, body, own)
    replies: list[bytes] = []
    head = _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | _ACK | flags, 1, 0)
    channel.sendto(head + body, (0, 0))
    while True:
        data = channel.recv(1 << 17)
        position = 0
        while position + _HEADER.size <= len(data):
            length, what, *_ = _HEADER.unpack_from(data, position)
            content = data[position + _HEADER.size : position + length]
            if what in (_ERROR, _DONE):
                number = -struct.unpack_from("=i", content)[0] if len(content) >= 4 else 0
                if number > 0:
                    raise OSError(number, os.strerror(number))
                return replies
            replies.append(content)
            position += (length + 3) & ~3


@dataclass(frozen=True)
class Request:
    """A request that the kernel answers with an error or not at all."""

    kind: int
    flags: int
    body: bytes

    def encode(self, number: int, is_last: bool) -> bytes:
        flags = _REQUEST | self.flags | (_ACK if is_last else 0)
        head = _HEADER.pack(_HEADER.size + len(self.body), self.kind, flags, number, 0)
        return head + self.body + bytes(-len(self.body) % 4)


@dataclass(frozen=True)
class Form:
    """A request that has the number of an interface, which is not yet known: hundreds change alike.

    Attributes:
        head, tail: of the body, before and after the number.
    """

    kind: int
    flags: int
    head: bytes
    tail: bytes

    @classmethod
    def of(cls, request: Request, place: int = _PLACE) -> Form:
        """That of a request, whatever the number is that its body has at this place."""
        return cls(request.kind, request.flags, request.body[:place], request.body[place + _INDEX.size :])

    def at(self, index: int) -> Request:
        """The request for the interface of this number."""
        return Request(self.kind, self.flags, self.head + _INDEX.pack(index) + self.tail)

    def as_list(self) -> list[Any]:
        """It as JSON data."""
        return [self.kind, self.flags, self.head.hex(), self.tail.hex()]

    @classmethod
    def from_list(cls, listed: Sequence[Any]) -> Form:
        """The reverse of :meth:`as_list`."""
        kind, flags, head, tail = listed
        return cls(kind, flags, bytes.fromhex(head), bytes.fromhex(tail))


def ask_all(requests: Sequence[Request], channel: socket.socket) -> dict[int, OSError]:
    """Send requests together, in as few calls as possible; return those that the kernel refuses, by their place.

    Each call lets other threads run, and then waits for them.
    """
    refused: dict[int, OSError] = {}
    data = bytearray()
    for number, request in enumerate(requests):
        is_last = number + 1 == len(requests) or len(data) >= _TOGETHER_BYTES
        data += request.encode(number, is_last)
        if is_last:
            channel.sendto(data, (0, 0))
            data.clear()
            refused |= _refusals(number, channel)
    return refused


def _refusals(last: int, channel: socket.socket) -> dict[int, OSError]:
    """What the kernel says of requests that were sent together, up to this one."""
    refused: dict[int, OSError] = {}
    while True:
        reply = channel.recv(1 << 17)
        position = 0
        while position + _HEADER.size <= len(reply):
            length, what, _, number, _ = _HEADER.unpack_from(reply, position)
            if what == _ERROR:
                error = -struct.unpack_from("=i", reply, position + _HEADER.size)[0]
                if error:
                    refused[number] = OSError(error, os.strerror(error))
                if number == last:
                    return refused
            position += (length + 3) & ~3


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute in the kernel's own form."""
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The kinds and values of attributes in the kernel's own form."""
    position = 0
    while position + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, position)
        if length < _ATTRIBUTE.size:
            return
        yield kind & 0x3FFF, data[position + _ATTRIBUTE.size : position + length]
        position += (length + 3) & ~3
