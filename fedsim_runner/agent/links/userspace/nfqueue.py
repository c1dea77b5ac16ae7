"""NFQUEUE over a raw netlink socket: packing and unpacking the few messages needed."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import struct

NETLINK_NETFILTER = 12
ACCEPT, DROP = 1, 0

_SUBSYS_QUEUE = 3 << 8
_PACKET, _VERDICT, _CONFIG = _SUBSYS_QUEUE | 0, _SUBSYS_QUEUE | 1, _SUBSYS_QUEUE | 2
_REQUEST, _ACK = 1, 4
_CMD, _PARAMS, _MAXLEN, _MASK, _FLAGS = 1, 2, 3, 4, 5
_BIND = 1
_COPY_PACKET = 2
_FLAG_GSO = 4
_SOL_NETLINK, _NO_ENOBUFS = 270, 5
_SO_RCVBUFFORCE = 33
_SO_TIMESTAMP = 29
_RECEIVE_BYTES = 8 << 20
_IPV4_HEADER = 20
# Attributes of a packet's message: its id, when it arrived, and its beginning.
_ID, _STAMP, _PAYLOAD, _KIND_MASK = 1, 4, 10, 0x3FFF
_ID_BYTES, _PAYLOAD_BYTES = 12, 4 + _IPV4_HEADER
_ID_HEADER = (4 + 7, _ID)
# The sender's MAC address stands before the stamp: its length, two bytes, and eight for it, of which six count.
_MAC_HEADER, _MAC_BYTES = (4 + 12, 9), 16
_STAMP_HEADER = (4 + 16, _STAMP)
_FIRST = 20  # after the headers of netlink and nfnetlink

_header = struct.Struct("=IH").unpack_from
_attribute_header = struct.Struct("=HH").unpack_from
_number = struct.Struct(">I").unpack_from
_length = struct.Struct(">H").unpack_from
_seconds = struct.Struct(">QQ").unpack_from  # and microseconds
_verdict = struct.Struct("=IHHII" + "BBH" + "HH").pack
_numbers = struct.Struct(">II").pack
_ERROR = 2


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def _request(queue: int, family: int, flags: int, *attributes: bytes) -> bytes:
    body = struct.pack("=BB", family, 0) + struct.pack(">H", queue) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), _CONFIG, flags, 1, 0) + body


def _configure(channel: socket.socket, queue: int, family: int, *attributes: bytes) -> None:
    channel.sendto(_request(queue, family, _REQUEST | _ACK, *attributes), (0, 0))
    while True:
        reply = channel.recv(65536)
        if struct.unpack_from("=IH", reply)[1] == _ERROR:
            number = -struct.unpack_from("=i", reply, 16)[0]
            if number:
                raise OSError(number, f"NFQUEUE: {os.strerror(number)}")
            return


def open_queue(queue: int, maxlen: int, gso: bool) -> socket.socket:
    """Listen on a queue of the calling thread's network namespace; the socket stays there when the thread leaves.

    Args:
        queue: its number.
        maxlen: the number of packets that it holds; more are dropped.
        gso: receive a super-packet whole; False: split it up, as loss requires.

    Raises:
        OSError: the kernel has no NFQUEUE, or another process is listening.
    """
    channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER)
    try:
        channel.bind((0, 0))
        # A full receive buffer drops the packet; reporting that as an error would only cost another wake-up.
        channel.setsockopt(_SOL_NETLINK, _NO_ENOBUFS, 1)
        with contextlib.suppress(OSError):  # the normal limit will do if the host refuses more
            channel.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BYTES)
        channel.settimeout(2)
        _configure(channel, queue, 0, _attribute(_CMD, struct.pack(">BBH", _BIND, 0, socket.AF_INET)))
        _configure(channel, queue, 0, _attribute(_PARAMS, struct.pack(">IB", _IPV4_HEADER, _COPY_PACKET)))
        _configure(channel, queue, 0, *_tuning(maxlen, gso))
    except BaseException:
        channel.close()
        raise
    channel.setblocking(False)
    return channel


def retune(channel: socket.socket, queue: int, maxlen: int, gso: bool) -> None:
    """Set length and GSO flag while packets flow, without asking for an answer: it would come between them."""
    channel.send(_request(queue, 0, _REQUEST, *_tuning(maxlen, gso)))


def _tuning(maxlen: int, gso: bool) -> list[bytes]:
    return [
        _attribute(_MAXLEN, struct.pack(">I", maxlen)),
        _attribute(_FLAGS, struct.pack(">I", _FLAG_GSO if gso else 0)),
        _attribute(_MASK, struct.pack(">I", _FLAG_GSO)),
    ]


#: Id, IPv4 source address (4 bytes) and length of a packet, and when it arrived (Unix seconds; 0: not known).
Packet = tuple[int, bytes, int, float]


def ask_for_stamps() -> socket.socket:
    """Have the kernel note when packets arrive, as long as the socket that this returns is open."""
    channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    channel.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMP, 1)
    return channel


class Parser:
    """Parses a queue's messages, which are alike: where the stamp stands follows from the length."""

    def __init__(self) -> None:
        self._stamps: dict[int, int] = {}

    def parse(self, message: bytes) -> Packet | None:
        """The packet that the message is about; None if it is about none."""
        length, kind = _header(message)
        if kind != _PACKET:
            return None
        # The kernel puts the packet's id first and the beginning of the packet last, of which only the IPv4 header is
        # asked for: looking at the ends saves a loop over what is between them.
        last = length - _PAYLOAD_BYTES
        stamp = self._stamps.get(length, 0)
        if (
            stamp
            and _attribute_header(message, _FIRST) == _ID_HEADER
            and _attribute_header(message, stamp) == _STAMP_HEADER
        ):
            size, attribute = _attribute_header(message, last)
            if size == _PAYLOAD_BYTES and attribute & _KIND_MASK == _PAYLOAD:
                seconds, microseconds = _seconds(message, stamp + 4)
                return (
                    _number(message, _FIRST + 4)[0],
                    message[last + 16 : last + 20],
                    _length(message, last + 6)[0],
                    seconds + microseconds * 1e-6,
                )
        return self._search(message, length)

    def hop(self, message: bytes) -> bytes | None:
        """The last four bytes of the MAC address of whoever sent the packet on; None: it has none.

        Only of a message that was parsed just now. In a run these are the IPv4 address (network/wiring.py).
        """
        at = self._stamps.get(len(message), 0) - _MAC_BYTES
        if at < _FIRST or _attribute_header(message, at) != _MAC_HEADER:
            return None
        return message[at + 10 : at + 14]

    def _search(self, message: bytes, length: int) -> Packet | None:
        identity, source, size_on_wire, arrived = -1, b"", 0, 0.0
        position = _FIRST
        while position + 4 <= length:
            size, attribute = _attribute_header(message, position)
            if size < 4:
                break
            attribute &= _KIND_MASK
            if attribute == _ID:
                identity = _number(message, position + 4)[0]
            elif attribute == _STAMP:
                seconds, microseconds = _seconds(message, position + 4)
                arrived = seconds + microseconds * 1e-6
                self._stamps[length] = position
            elif attribute == _PAYLOAD:
                source = message[position + 16 : position + 20]
                size_on_wire = _length(message, position + 6)[0]
            position += (size + 3) & ~3
        return (identity, source, size_on_wire, arrived) if identity >= 0 else None


def verdict(queue: int, identity: int, decision: int) -> bytes:
    """A verdict message; several can be concatenated and sent together."""
    return _verdict_header(queue) + _numbers(decision, identity)


@functools.cache
def _verdict_header(queue: int) -> bytes:
    return _verdict(32, _VERDICT, _REQUEST, 0, 0, 0, 0, socket.htons(queue), 12, 2)
