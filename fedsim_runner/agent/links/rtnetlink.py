"""Interfaces, IP addresses and neighbours of the calling thread's network namespace, over rtnetlink.

Hundreds of namespaces are read and set in a call; a program started in each would cost more than all else.
"""

from __future__ import annotations

import errno
import functools
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_HEADER = struct.Struct("=IHHII")  # length, kind, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # length, kind
_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, mask of the flags to change
_ADDRESS = struct.Struct("=BBBBi")  # family, prefix length, flags, scope, index
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type
_QDISC = struct.Struct("=BxxxiIII")  # family, index, handle, parent, info

_ERROR, _DONE = 2, 3
_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWNEIGH, _DELNEIGH, _GETNEIGH = 28, 29, 30
_GETQDISC = 38
_GETTFILTER = 46
_REQUEST, _ACK, _REPLACE, _DUMP, _CREATE = 0x1, 0x4, 0x100, 0x300, 0x400
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_LINK, _IFLA_MASTER, _IFLA_AF_SPEC, _IFLA_EXT_MASK = 1, 3, 5, 10, 26, 29
_IFLA_GSO_MAX_SEGS = 40
_SKIP_STATISTICS = 1 << 3
_IFLA_INET6_ADDR_GEN_MODE, _GEN_MODE_NONE = 8, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_NDA_DST, _NDA_LLADDR = 1, 2
_TCA_KIND, _TCA_OPTIONS, _TCA_STATS2 = 1, 2, 7
_STATS_BASIC, _STATS_QUEUE = 1, 3
_BASIC_ACTIONS, _ACTION_OPTIONS, _POLICE = 3, 2, 1
_POLICER_SETTINGS = slice(4, 44)  # of struct tc_police, without its number and how often it is used
_BURST = struct.Struct("=8xI")  # in these
_TICK_S = 64e-9  # in which the kernel shows a burst: as the time that it takes at the rate
_UP = 0x1
_PERMANENT = 0x80
_NEWQDISC = 36

#: What a root qdisc is below.
ROOT = 0xFFFFFFFF
#: The delay of a root qdisc with one of these handles is changed all the time: it is the first number of its options,
#: and this attribute of them. Neither counts as a change.
MOVING_HANDLES, DELAY_ATTRIBUTE = range(0x10, 0x20), 10
_MOVING_OPTIONS = 24  # bytes, of which the first four are the delay


@dataclass(frozen=True)
class Interface:
    """An interface.

    Attributes:
        peer: the number of a veth's other end, in the namespace of that end.
        segments: of how many frames at most a packet that enters its qdisc consists; the kernel cuts it behind that.
    """

    index: int
    mac: str
    up: bool
    peer: int | None
    segments: int


@dataclass(frozen=True)
class QdiscCounters:
    """What has left a qdisc, in bytes and packets, and packets that it has dropped."""

    bytes: int
    packets: int
    dropped: int


@functools.cache
def has_ipv6() -> bool:
    """Whether the kernel has IPv6. One that can load it does so now, not when interfaces are up without a setting."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    except OSError:
        return False
    return True


def find_interface(name: str) -> Interface | None:
    """The interface of this name; None if there is none."""
    wanted = _LINK.pack(0, 0, 0, 0, 0) + _attribute(_IFLA_IFNAME, name.encode() + b"\0")
    try:
        reply = _ask(_GETLINK, 0, wanted)[0]
    except OSError as error:
        if error.errno == errno.ENODEV:
            return None
        raise
    _, _, index, flags, _ = _LINK.unpack_from(reply)
    found = dict(_attributes(reply[_LINK.size :]))
    peer = found.get(_IFLA_LINK)
    return Interface(
        index,
        found.get(_IFLA_ADDRESS, b"").hex(":"),
        bool(flags & _UP),
        None if peer is None else int(struct.unpack("=i", peer)[0]),
        int(struct.unpack("=I", found[_IFLA_GSO_MAX_SEGS])[0]),
    )


def ports() -> dict[str, tuple[int, bool, int | None]]:
    """All interfaces by name: number of each, whether it is up, and number of the bridge that has it as a port."""
    found = {}
    wanted = _LINK.pack(0, 0, 0, 0, 0) + _attribute(_IFLA_EXT_MASK, struct.pack("=I", _SKIP_STATISTICS))
    for reply in _ask(_GETLINK, _DUMP, wanted):
        _, _, index, flags, _ = _LINK.unpack_from(reply)
        values = dict(_attributes(reply[_LINK.size :]))
        master = values.get(_IFLA_MASTER)
        name = values.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode()
        found[name] = index, bool(flags & _UP), None if master is None else int(struct.unpack("=I", master)[0])
    return found


def delete_interface(index: int) -> None:
    """Delete an interface, with a veth's other end."""
    _ask(_DELLINK, 0, _LINK.pack(0, 0, index, 0, 0))


def set_mac(index: int, mac: str) -> None:
    """Set an interface's hardware address."""
    _ask(_NEWLINK, 0, _LINK.pack(0, 0, index, 0, 0) + _attribute(_IFLA_ADDRESS, _bytes(mac)))


def set_segments(index: int, most: int) -> None:
    """Set of how many frames at most a packet that enters an interface's qdisc consists."""
    _ask(_NEWLINK, 0, _LINK.pack(0, 0, index, 0, 0) + _attribute(_IFLA_GSO_MAX_SEGS, struct.pack("=I", most)))


def set_up(index: int) -> None:
    """Bring an interface up; it gets no IPv6 address of its own accord."""
    if has_ipv6():
        mode = _attribute(_IFLA_INET6_ADDR_GEN_MODE, bytes([_GEN_MODE_NONE]))
        per_family = _attribute(_IFLA_AF_SPEC, _attribute(socket.AF_INET6, mode))
        _ask(_NEWLINK, 0, _LINK.pack(0, 0, index, 0, 0) + per_family)
    _ask(_NEWLINK, 0, _LINK.pack(0, 0, index, _UP, _UP))


def addresses(index: int) -> list[str]:
    """An interface's IPv4 and IPv6 addresses with their prefix lengths, in order."""
    found = []
    for reply in _ask(_GETADDR, _DUMP, _ADDRESS.pack(0, 0, 0, 0, 0)):
        _, prefix, _, _, owner = _ADDRESS.unpack_from(reply)
        values = dict(_attributes(reply[_ADDRESS.size :]))
        packed = values.get(_IFA_LOCAL, values.get(_IFA_ADDRESS))
        if owner == index and packed is not None:
            found.append(f"{ipaddress.ip_address(packed)}/{prefix}")
    return sorted(found)


def add_address(index: int, address: str) -> None:
    """Give an interface an address, written with its prefix length."""
    _ask(_NEWADDR, _CREATE | _REPLACE, _address_body(index, address))


def delete_address(index: int, address: str) -> None:
    """Take an address, written with its prefix length, from an interface."""
    _ask(_DELADDR, 0, _address_body(index, address))


def permanent_neighbours(index: int) -> dict[str, str]:
    """The permanent IPv4 neighbours of an interface: MAC address by IP address."""
    found = {}
    for reply in _ask(_GETNEIGH, _DUMP, _NEIGHBOUR.pack(socket.AF_INET, 0, 0, 0, 0)):
        _, owner, state, _, _ = _NEIGHBOUR.unpack_from(reply)
        values = dict(_attributes(reply[_NEIGHBOUR.size :]))
        if owner == index and state & _PERMANENT and _NDA_LLADDR in values:
            found[str(ipaddress.ip_address(values[_NDA_DST]))] = values[_NDA_LLADDR].hex(":")
    return found


def set_neighbours(index: int, wanted: Mapping[str, str]) -> None:
    """Make these the permanent IPv4 neighbours of an interface: MAC address by IP address."""
    active = permanent_neighbours(index)
    for address in active.keys() - wanted.keys():
        _ask(_DELNEIGH, 0, _neighbour_body(index, address))
    for address, mac in wanted.items():
        if active.get(address) != mac:
            body = _neighbour_body(index, address) + _attribute(_NDA_LLADDR, _bytes(mac))
            _ask(_NEWNEIGH, _CREATE | _REPLACE, body)


def raw_qdiscs(index: int) -> tuple[bytes, ...]:
    """The qdiscs of an interface in the kernel's own form, without their counters: equal if nothing was changed."""
    return all_raw_qdiscs().get(index, ())


def all_raw_qdiscs() -> dict[int, tuple[bytes, ...]]:
    """The qdiscs of all interfaces, by the number of each, as :func:`raw_qdiscs`."""
    found: dict[int, tuple[bytes, ...]] = {}
    with open_channel() as channel:
        for reply in _exchange(channel, _GETQDISC, _DUMP, _QDISC.pack(0, 0, 0, 0, 0)):
            _, owner, handle, parent, _ = _QDISC.unpack_from(reply)
            values = dict(_attributes(reply[_QDISC.size :]))
            kind, options = values.get(_TCA_KIND, b""), values.get(_TCA_OPTIONS, b"")
            if handle >> 16 in MOVING_HANDLES and parent == ROOT:
                options = _without_delay(options)
            settings = kind + options
            if kind == b"prio\0":
                settings += b"".join(_policers(channel, owner, handle))
            found[owner] = (*found.get(owner, ()), struct.pack("=II", handle, parent) + settings)
    return found


def policed_s(interface: str, handle: str) -> float | None:
    """What the policer in a qdisc's filter lets through at once, in seconds of its rate; None: there is no policer.

    Args:
        handle: the qdisc's, as ``tc`` writes it (``4:``).
    """
    found = find_interface(interface)
    if found is None:
        return None
    with open_channel() as channel:
        policers = _policers(channel, found.index, int(handle.partition(":")[0], 16) << 16)
    return float(_BURST.unpack_from(policers[0])[0]) * _TICK_S if policers else None


def _policers(channel: socket.socket, index: int, handle: int) -> list[bytes]:
    """The settings of the policers in a qdisc's filters (of the kind ``basic``), in the kernel's own form."""
    found = []
    for reply in _exchange(channel, _GETTFILTER, _DUMP, _QDISC.pack(0, index, 0, handle, 0)):
        options = dict(_attributes(reply[_QDISC.size :])).get(_TCA_OPTIONS, b"")
        for _, action in _attributes(dict(_attributes(options)).get(_BASIC_ACTIONS, b"")):
            police = dict(_attributes(dict(_attributes(action)).get(_ACTION_OPTIONS, b""))).get(_POLICE)
            if police is not None:
                found.append(police[_POLICER_SETTINGS])
    return found


def qdisc_counters() -> dict[int, dict[int, QdiscCounters]]:
    """The counters of all interfaces' qdiscs: by number of the interface, and by handle of what each is below."""
    found: dict[int, dict[int, QdiscCounters]] = {}
    for reply in _ask(_GETQDISC, _DUMP, _QDISC.pack(0, 0, 0, 0, 0)):
        _, owner, _, parent, _ = _QDISC.unpack_from(reply)
        values = dict(_attributes(reply[_QDISC.size :]))
        statistics = dict(_attributes(values.get(_TCA_STATS2, b"")))
        if _STATS_BASIC in statistics and _STATS_QUEUE in statistics:
            passed, packets = struct.unpack_from("=QI", statistics[_STATS_BASIC])
            _, _, dropped = struct.unpack_from("=III", statistics[_STATS_QUEUE])
            found.setdefault(owner, {})[parent] = QdiscCounters(passed, packets, dropped)
    return found


def open_channel() -> socket.socket:
    """A channel to the kernel about the calling thread's network namespace, which it keeps from ending."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)


def change_root_qdisc(channel: socket.socket, interface: str, kind: str, options: bytes) -> None:
    """Change an interface's root qdisc in place.

    Args:
        channel: to the namespace of the interface.
        options: in the kernel's own form.

    Raises:
        OSError: there is none, or one of another kind.
    """
    name = _attribute(_IFLA_IFNAME, interface.encode() + b"\0")
    link = _exchange(channel, _GETLINK, 0, _LINK.pack(0, 0, 0, 0, 0) + name)[0]
    index = _LINK.unpack_from(link)[2]
    named = _attribute(_TCA_KIND, kind.encode() + b"\0") + _attribute(_TCA_OPTIONS, options)
    _exchange(channel, _NEWQDISC, 0, _QDISC.pack(0, index, 0, ROOT, 0) + named)


def _without_delay(options: bytes) -> bytes:
    head, rest = options[4:_MOVING_OPTIONS], options[_MOVING_OPTIONS:]
    return head + b"".join(_attribute(kind, value) for kind, value in _attributes(rest) if kind != DELAY_ATTRIBUTE)


def _address_body(index: int, address: str) -> bytes:
    interface = ipaddress.ip_interface(address)
    family = socket.AF_INET if interface.version == 4 else socket.AF_INET6
    head = _ADDRESS.pack(family, interface.network.prefixlen, 0, 0, index)
    return head + _attribute(_IFA_LOCAL, interface.packed) + _attribute(_IFA_ADDRESS, interface.packed)


def _neighbour_body(index: int, address: str) -> bytes:
    head = _NEIGHBOUR.pack(socket.AF_INET, index, _PERMANENT, 0, 0)
    return head + _attribute(_NDA_DST, ipaddress.IPv4Address(address).packed)


def _ask(kind: int, flags: int, body: bytes) -> list[bytes]:
    """Send one request and return the bodies of all replies.

    Raises:
        OSError: the kernel refuses it.
    """
    with open_channel() as channel:
        return _exchange(channel, kind, flags, body)


def _exchange(channel: socket.socket, kind: int, flags: int, body: bytes) -> list[bytes]:
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


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, position)
        if length < _ATTRIBUTE.size:
            return
        yield kind & 0x3FFF, data[position + _ATTRIBUTE.size : position + length]
        position += (length + 3) & ~3


def _bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
