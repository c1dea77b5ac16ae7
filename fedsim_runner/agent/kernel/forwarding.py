"""Which lab host a VXLAN device forwards to, by MAC address, in the calling thread's network namespace.

A device with `nolearning` sends what it has an entry for, and nothing else: no broadcast leaves the lab host.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping

from . import netlink

_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type
_NEWNEIGH, _DELNEIGH, _GETNEIGH = 28, 29, 30
_NDA_DST, _NDA_LLADDR = 1, 2
_PERMANENT = 0x80 | 0x40  # of what needs no ARP
_SELF = 0x02  # the device's own table, not that of the bridge that it is a port of


def read_forwarding(index: int) -> dict[str, str]:
    """The IPv4 address that each MAC address is behind."""
    found = {}
    for reply in netlink.ask(_GETNEIGH, netlink.DUMP, _NEIGHBOUR.pack(socket.AF_BRIDGE, 0, 0, 0, 0)):
        _, owner, _, _, _ = _NEIGHBOUR.unpack_from(reply)
        values = dict(netlink.attributes(reply[_NEIGHBOUR.size :]))
        if owner == index and len(values.get(_NDA_DST, b"")) == 4:
            found[values[_NDA_LLADDR].hex(":")] = socket.inet_ntoa(values[_NDA_DST])
    return found


def set_forwarding(index: int, wanted: Mapping[str, str]) -> None:
    """Make these the entries of a VXLAN device: IPv4 address by MAC address."""
    active = read_forwarding(index)
    with netlink.open_channel() as channel:
        for mac in active.keys() - wanted.keys():
            netlink.ask(_DELNEIGH, 0, _entry(index, mac, active[mac]), channel)
        for mac, address in wanted.items():
            if active.get(mac) != address:
                netlink.ask(_NEWNEIGH, netlink.CREATE | netlink.REPLACE, _entry(index, mac, address), channel)


def _entry(index: int, mac: str, address: str) -> bytes:
    head = _NEIGHBOUR.pack(socket.AF_BRIDGE, index, _PERMANENT, _SELF, 0)
    head += netlink.attribute(_NDA_LLADDR, bytes.fromhex(mac.replace(":", "")))
    return head + netlink.attribute(_NDA_DST, socket.inet_aton(address))
