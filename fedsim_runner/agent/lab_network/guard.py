"""The packet filter on a lab host that lets only the run's lab hosts send to the run's VXLAN ids.

VXLAN knows no passwords: whoever reaches the UDP port could send to any device. The filter is an nftables table of its
own, so no rule of anybody else is touched, and it belongs to the socket that made it (``NFT_TABLE_F_OWNER``, Linux
5.12): the kernel removes it with the agent, however that ends. It needs neither iptables nor nft.

Forms and numbers: linux/netfilter/nfnetlink.h and nf_tables.h.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence

from fedsim_runner.contract.lab_network import IDS

_NETLINK_NETFILTER = 12
_HEADER = struct.Struct("=IHHII")  # length, kind, flags, sequence, port
_FAMILY = struct.Struct(">BBH")  # family, version, resource
_ATTRIBUTE = struct.Struct("=HH")
_BEGIN, _END, _TABLES = 16, 17, 10
_NEWTABLE, _NEWCHAIN, _NEWRULE, _NEWSET, _NEWSETELEM = 0, 3, 6, 9, 12
_REQUEST, _ACK, _CREATE, _APPEND = 0x1, 0x4, 0x400, 0x800
_NESTED = 0x8000
_IPV4 = 2
_LOCAL_IN, _BEFORE_OTHERS, _ACCEPT, _DROP = 1, -10, 1, 0
_OWNED = 2
_EQUAL = 0
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_REGISTER, _VERDICT_REGISTER = 1, 0
_L4_PROTOCOL = 16
_INVERTED = 1
_IPV4_ADDRESS = 7  # as nft names the type of a set's keys
_ELEMENTS_AT_ONCE = 1000
_ERROR = 2
# Where the sender is in the IPv4 header, the port in the UDP header, and the id behind that: its upper two bytes say
# which run it is of.
_SOURCE, _PORT, _ID = (12, 4), (2, 2), (12, 2)
_ID_SET = 1


class Guard:
    """The filter, as long as this exists.

    Args:
        table: name of the table.
        port: UDP port on which VXLAN is received.
        vxlan_id: the first of the run's ids.
        senders: IPv4 addresses of the other lab hosts.

    Raises:
        OSError: this kernel has no such filter.
    """

    def __init__(self, table: str, port: int, vxlan_id: int, senders: Sequence[str]) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
        try:
            self._socket.bind((0, 0))
            self._socket.settimeout(5)
            self._send(list(_messages(table.encode() + b"\0", port, vxlan_id, senders)))
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """Remove the filter."""
        self._socket.close()

    def _send(self, messages: Sequence[tuple[int, int, bytes]]) -> None:
        """Send all or nothing, and wait for the answer to each."""
        parts = [_message(_BEGIN, _REQUEST, 0, _FAMILY.pack(0, 0, _TABLES))]
        for number, (kind, flags, body) in enumerate(messages, 1):
            body = _FAMILY.pack(_IPV4, 0, 0) + body
            parts.append(_message((_TABLES << 8) | kind, _REQUEST | _ACK | flags, number, body))
        parts.append(_message(_END, _REQUEST, len(parts), _FAMILY.pack(0, 0, _TABLES)))
        self._socket.sendto(b"".join(parts), (0, 0))
        answered = 0
        while answered < len(messages):
            data = self._socket.recv(1 << 17)
            position = 0
            while position + _HEADER.size <= len(data):
                length, kind, *_ = _HEADER.unpack_from(data, position)
                if kind == _ERROR:
                    number = -struct.unpack_from("=i", data, position + _HEADER.size)[0]
                    if number:
                        raise OSError(number, f"nftables: {os.strerror(number)}")
                    answered += 1
                position += (length + 3) & ~3


def _messages(table: bytes, port: int, vxlan_id: int, senders: Sequence[str]) -> Iterator[tuple[int, int, bytes]]:
    """Kind, flags and body of each message that makes the filter."""
    chain, known = b"input\0", b"lab_hosts\0"
    yield _NEWTABLE, _CREATE, _text(1, table) + _number(2, _OWNED)
    hook = _nest(4, _number(1, _LOCAL_IN), _number(2, _BEFORE_OTHERS & 0xFFFFFFFF))
    yield _NEWCHAIN, _CREATE, _text(1, table) + _text(3, chain) + hook + _number(5, _ACCEPT) + _text(7, b"filter\0")
    keys = _number(4, _IPV4_ADDRESS) + _number(5, 4)
    yield _NEWSET, _CREATE, _text(1, table) + _text(2, known) + _number(3, 0) + keys + _number(10, _ID_SET)
    for start in range(0, len(senders), _ELEMENTS_AT_ONCE):  # a nested attribute has 64 kB at most
        some = senders[start : start + _ELEMENTS_AT_ONCE]
        elements = _nest(3, *(_nest(1, _nest(1, _attribute(1, socket.inet_aton(one)))) for one in some))
        yield _NEWSETELEM, _CREATE, _text(1, table) + _text(2, known) + _number(4, _ID_SET) + elements
    lookup = _expression(
        b"lookup", [_text(1, known), _number(2, _REGISTER), _number(4, _ID_SET), _number(5, _INVERTED)]
    )
    drop = _expression(b"immediate", [_number(1, _VERDICT_REGISTER), _nest(2, _nest(2, _number(1, _DROP)))])
    rule = [
        _expression(b"meta", [_number(1, _REGISTER), _number(2, _L4_PROTOCOL)]),
        _is(bytes([socket.IPPROTO_UDP])),
        _load(_TRANSPORT_HEADER, *_PORT),
        _is(struct.pack(">H", port)),
        _load(_TRANSPORT_HEADER, *_ID),
        _is(struct.pack(">H", vxlan_id // IDS)),
        _load(_NETWORK_HEADER, *_SOURCE),
        lookup,
        drop,
    ]
    yield _NEWRULE, _CREATE | _APPEND, _text(1, table) + _text(2, chain) + _nest(4, *rule)


def _load(base: int, offset: int, length: int) -> bytes:
    """Load bytes of the packet."""
    values = [_number(1, _REGISTER), _number(2, base), _number(3, offset), _number(4, length)]
    return _expression(b"payload", values)


def _is(value: bytes) -> bytes:
    """Go on only if this was loaded."""
    return _expression(b"cmp", [_number(1, _REGISTER), _number(2, _EQUAL), _nest(3, _attribute(1, value))])


def _expression(name: bytes, values: Iterable[bytes]) -> bytes:
    return _nest(1, _attribute(1, name + b"\0"), _nest(2, *values))


def _text(kind: int, value: bytes) -> bytes:
    return _attribute(kind, value)


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack(">I", value))


def _nest(kind: int, *parts: bytes) -> bytes:
    return _attribute(kind | _NESTED, b"".join(parts))


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def _message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body
