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
_RECEIVE_BYTES = 8 << 20
_IPV4_HEADER = 20
# Attributes of a packet's message: its id, and its beginning.
_ID, _PAYLOAD, _KIND_MASK = 1, 10, 0x3FFF
_ID_BYTES, _PAYLOAD_BYTES = 12, 4 + _IPV4_HEADER
_ID_HEADER = (4 + 7, _ID)
_FIRST = 20  # after the headers of netlink and nfnetlink

_header = struct.Struct("=IH").unpack_from
_attribute_header = struct.Struct("=HH").unpack_from
_number = struct.Struct(">I").unpack_from
_verdict = struct.Struct("=IHHII" + "BBH" + "HH").pack
_numbers = struct.Struct(">II").pack
_ERROR = 2


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def _configure(channel: socket.socket, queue: int, family: int, *attributes: bytes) -> None:
    body = struct.pack("=BB", family, 0) + struct.pack(">H", queue) + b"".join(attributes)
    channel.sendto(struct.pack("=IHHII", 16 + len(body), _CONFIG, _REQUEST | _ACK, 1, 0) + body, (0, 0))
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
        tune(channel, queue, maxlen, gso)
    except BaseException:
        channel.close()
        raise
    channel.setblocking(False)
    return channel


def tune(channel: socket.socket, queue: int, maxlen: int, gso: bool) -> None:
    """Set length and GSO flag. Only before packets flow, because the answer comes on the same socket."""
    _configure(
        channel,
        queue,
        0,
        _attribute(_MAXLEN, struct.pack(">I", maxlen)),
        _attribute(_FLAGS, struct.pack(">I", _FLAG_GSO if gso else 0)),
        _attribute(_MASK, struct.pack(">I", _FLAG_GSO)),
    )


def parse_packet(message: bytes) -> tuple[int, bytes] | None:
    """Packet id and IPv4 source address (4 bytes) of a queue's message; None for anything else."""
    length, kind = _header(message)
    if kind != _PACKET:
        return None
    # The kernel puts the packet's id first and the beginning of the packet last, of which only the IPv4 header is asked
    # for: looking at the ends saves a loop over what is between them.
    last = length - _PAYLOAD_BYTES
    if last >= _FIRST + _ID_BYTES and _attribute_header(message, _FIRST) == _ID_HEADER:
        size, attribute = _attribute_header(message, last)
        if size == _PAYLOAD_BYTES and attribute & _KIND_MASK == _PAYLOAD:
            return _number(message, _FIRST + 4)[0], message[last + 16 : last + 20]
    return _search(message, length)


def _search(message: bytes, length: int) -> tuple[int, bytes] | None:
    identity = -1
    source = b""
    position = _FIRST
    while position + 4 <= length:
        size, attribute = _attribute_header(message, position)
        if size < 4:
            break
        attribute &= _KIND_MASK
        if attribute == _ID:
            identity = _number(message, position + 4)[0]
        elif attribute == _PAYLOAD:
            source = message[position + 16 : position + 20]
        position += (size + 3) & ~3
    return (identity, source) if identity >= 0 else None


def verdict(queue: int, identity: int, decision: int) -> bytes:
    """A verdict message; several can be concatenated and sent together."""
    return _verdict_header(queue) + _numbers(decision, identity)


@functools.cache
def _verdict_header(queue: int) -> bytes:
    return _verdict(32, _VERDICT, _REQUEST, 0, 0, 0, 0, socket.htons(queue), 12, 2)
