"""Interfaces, IP addresses and neighbours of the calling thread's network namespace, over rtnetlink.

Hundreds of namespaces are read and set in a call; a program started in each would cost more than all else.
"""

from __future__ import annotations

import errno
import functools
import ipaddress
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from . import netlink

_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, mask of the flags to change
_ADDRESS = struct.Struct("=BBBBi")  # family, prefix length, flags, scope, index
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type

_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWNEIGH, _DELNEIGH, _GETNEIGH = 28, 29, 30
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINK, _IFLA_MASTER, _IFLA_AF_SPEC, _IFLA_EXT_MASK = 1, 3, 4, 5, 10, 26, 29
_IFLA_GSO_MAX_SEGS = 40
_SKIP_STATISTICS = 1 << 3
_IFLA_INET6_ADDR_GEN_MODE, _GEN_MODE_NONE = 8, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_NDA_DST, _NDA_LLADDR = 1, 2
_UP = 0x1
_PERMANENT = 0x80
_STATIC = 0x40


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
    mtu: int


@functools.cache
def has_ipv6() -> bool:
    """Whether the kernel has IPv6. One that can load it does so now, not when interfaces are up without a setting."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    except OSError:
        return False
    return True


def find_index(name: str, channel: socket.socket) -> int:
    """The number of the interface of this name in the namespace of a channel.

    Raises:
        OSError: there is none.
    """
    return int(_LINK.unpack_from(netlink.ask(_GETLINK, 0, _named(name), channel)[0])[2])


def find_interface(name: str) -> Interface | None:
    """The interface of this name; None if there is none."""
    try:
        reply = netlink.ask(_GETLINK, 0, _named(name))[0]
    except OSError as error:
        if error.errno == errno.ENODEV:
            return None
        raise
    _, _, index, flags, _ = _LINK.unpack_from(reply)
    found = dict(netlink.attributes(reply[_LINK.size :]))
    peer = found.get(_IFLA_LINK)
    return Interface(
        index,
        found.get(_IFLA_ADDRESS, b"").hex(":"),
        bool(flags & _UP),
        None if peer is None else int(struct.unpack("=i", peer)[0]),
        int(struct.unpack("=I", found[_IFLA_GSO_MAX_SEGS])[0]),
        int(struct.unpack("=I", found[_IFLA_MTU])[0]),
    )


def ports() -> dict[str, tuple[int, bool, int | None]]:
    """All interfaces by name: number of each, whether it is up, and number of the bridge that has it as a port."""
    found = {}
    wanted = _LINK.pack(0, 0, 0, 0, 0) + netlink.attribute(_IFLA_EXT_MASK, struct.pack("=I", _SKIP_STATISTICS))
    for reply in netlink.ask(_GETLINK, netlink.DUMP, wanted):
        _, _, index, flags, _ = _LINK.unpack_from(reply)
        values = dict(netlink.attributes(reply[_LINK.size :]))
        master = values.get(_IFLA_MASTER)
        name = values.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode()
        found[name] = index, bool(flags & _UP), None if master is None else int(struct.unpack("=I", master)[0])
    return found


def indexes(channel: socket.socket) -> dict[str, int]:
    """The numbers of all interfaces of a channel's namespace, by name."""
    wanted = _LINK.pack(0, 0, 0, 0, 0) + netlink.attribute(_IFLA_EXT_MASK, struct.pack("=I", _SKIP_STATISTICS))
    found = {}
    for reply in netlink.ask(_GETLINK, netlink.DUMP, wanted, channel):
        name = next(value for kind, value in netlink.attributes(reply[_LINK.size :]) if kind == _IFLA_IFNAME)
        found[name.rstrip(b"\0").decode()] = int(_LINK.unpack_from(reply)[2])
    return found


def delete_interface(index: int) -> None:
    """Delete an interface, with a veth's other end."""
    netlink.ask(_DELLINK, 0, _LINK.pack(0, 0, index, 0, 0))


def set_mac(index: int, mac: str) -> None:
    """Set an interface's hardware address."""
    netlink.ask(_NEWLINK, 0, _LINK.pack(0, 0, index, 0, 0) + netlink.attribute(_IFLA_ADDRESS, _bytes(mac)))


def set_mtu(index: int, mtu: int) -> None:
    """Set the largest IP packet that an interface takes."""
    netlink.ask(_NEWLINK, 0, _LINK.pack(0, 0, index, 0, 0) + netlink.attribute(_IFLA_MTU, struct.pack("=I", mtu)))


def set_segments(index: int, most: int) -> None:
    """Set of how many frames at most a packet that enters an interface's qdisc consists."""
    netlink.ask(
        _NEWLINK, 0, _LINK.pack(0, 0, index, 0, 0) + netlink.attribute(_IFLA_GSO_MAX_SEGS, struct.pack("=I", most))
    )


def set_bridge(index: int, bridge: int | None) -> None:
    """Make an interface a port of the bridge of this number, and of no other; None: of none."""
    _ask(bridge_form(bridge).at(index))


def bridge_form(bridge: int | None) -> netlink.Form:
    """The form of the request of :func:`set_bridge`."""
    master = netlink.attribute(_IFLA_MASTER, struct.pack("=I", bridge or 0))
    return netlink.Form.of(netlink.Request(_NEWLINK, 0, _LINK.pack(0, 0, 0, 0, 0) + master))


def set_up(index: int) -> None:
    """Bring an interface up; it gets no IPv6 address of its own accord."""
    for form in up_forms():
        _ask(form.at(index))


def up_forms() -> list[netlink.Form]:
    """The forms of the requests of :func:`set_up`."""
    requests = [netlink.Request(_NEWLINK, 0, _LINK.pack(0, 0, 0, _UP, _UP))]
    if has_ipv6():
        mode = netlink.attribute(_IFLA_INET6_ADDR_GEN_MODE, bytes([_GEN_MODE_NONE]))
        per_family = netlink.attribute(_IFLA_AF_SPEC, netlink.attribute(socket.AF_INET6, mode))
        requests.insert(0, netlink.Request(_NEWLINK, 0, _LINK.pack(0, 0, 0, 0, 0) + per_family))
    return [netlink.Form.of(request) for request in requests]


def addresses(index: int) -> list[str]:
    """An interface's IPv4 and IPv6 addresses with their prefix lengths, in order."""
    found = []
    for reply in netlink.ask(_GETADDR, netlink.DUMP, _ADDRESS.pack(0, 0, 0, 0, 0)):
        _, prefix, _, _, owner = _ADDRESS.unpack_from(reply)
        values = dict(netlink.attributes(reply[_ADDRESS.size :]))
        packed = values.get(_IFA_LOCAL, values.get(_IFA_ADDRESS))
        if owner == index and packed is not None:
            found.append(f"{ipaddress.ip_address(packed)}/{prefix}")
    return sorted(found)


def add_address(index: int, address: str) -> None:
    """Give an interface an address, written with its prefix length."""
    netlink.ask(_NEWADDR, netlink.CREATE | netlink.REPLACE, _address_body(index, address))


def delete_address(index: int, address: str) -> None:
    """Take an address, written with its prefix length, from an interface."""
    netlink.ask(_DELADDR, 0, _address_body(index, address))


def permanent_neighbours(index: int) -> dict[str, str]:
    """The permanent IPv4 neighbours of an interface: MAC address by IP address."""
    found = {}
    for reply in netlink.ask(_GETNEIGH, netlink.DUMP, _NEIGHBOUR.pack(socket.AF_INET, 0, 0, 0, 0)):
        _, owner, state, _, _ = _NEIGHBOUR.unpack_from(reply)
        values = dict(netlink.attributes(reply[_NEIGHBOUR.size :]))
        if owner == index and state & _PERMANENT and _NDA_LLADDR in values:
            found[str(ipaddress.ip_address(values[_NDA_DST]))] = values[_NDA_LLADDR].hex(":")
    return found


def set_neighbours(index: int, wanted: Mapping[str, str]) -> None:
    """Make these the permanent IPv4 neighbours of an interface: MAC address by IP address."""
    active = permanent_neighbours(index)
    for address in active.keys() - wanted.keys():
        netlink.ask(_DELNEIGH, 0, _neighbour_body(index, address))
    for address, mac in wanted.items():
        if active.get(address) != mac:
            body = _neighbour_body(index, address) + netlink.attribute(_NDA_LLADDR, _bytes(mac))
            netlink.ask(_NEWNEIGH, netlink.CREATE | netlink.REPLACE, body)


def _named(interface: str) -> bytes:
    return _LINK.pack(0, 0, 0, 0, 0) + netlink.attribute(_IFLA_IFNAME, interface.encode() + b"\0")


def known_macs() -> frozenset[tuple[int, str]]:
    """Ports of bridges, by number, with the MAC addresses that were entered to be behind each."""
    found = set()
    for reply in netlink.ask(_GETNEIGH, netlink.DUMP, _NEIGHBOUR.pack(socket.AF_BRIDGE, 0, 0, 0, 0)):
        _, port, state, _, _ = _NEIGHBOUR.unpack_from(reply)
        values = dict(netlink.attributes(reply[_NEIGHBOUR.size :]))
        if state & _STATIC and _NDA_LLADDR in values:
            found.add((port, values[_NDA_LLADDR].hex(":")))
    return frozenset(found)


def _address_body(index: int, address: str) -> bytes:
    interface = ipaddress.ip_interface(address)
    family = socket.AF_INET if interface.version == 4 else socket.AF_INET6
    head = _ADDRESS.pack(family, interface.network.prefixlen, 0, 0, index)
    return head + netlink.attribute(_IFA_LOCAL, interface.packed) + netlink.attribute(_IFA_ADDRESS, interface.packed)


def _neighbour_body(index: int, address: str) -> bytes:
    head = _NEIGHBOUR.pack(socket.AF_INET, index, _PERMANENT, 0, 0)
    return head + netlink.attribute(_NDA_DST, ipaddress.IPv4Address(address).packed)


def _ask(request: netlink.Request) -> None:
    netlink.ask(request.kind, request.flags, request.body)


def _bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
