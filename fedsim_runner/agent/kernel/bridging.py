"""Bridges, and pairs between them, in the calling thread's network namespace, over rtnetlink.

Without a program: a change that is due may need a bridge, and a program that it starts has an ordinary priority. On a
lab host whose processors all compute that took hundreds of milliseconds.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from . import netlink, rtnetlink

_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, mask of the flags to change
_NEWLINK, _GETLINK = 16, 18
_NAME, _PEER, _MASTER, _INFO, _EXT_MASK, _PEER_ELSEWHERE = 3, 5, 10, 18, 29, 37
_SKIP_STATISTICS = 1 << 3
_KIND, _DATA, _PORT_KIND, _PORT_DATA = 1, 2, 4, 5
_FORWARD_DELAY, _AGEING_TIME, _STP, _SNOOPING, _CALL_IPTABLES = 1, 4, 5, 23, 36  # of a bridge
_VETH_PEER = 1
_ISOLATED = 33  # of a port
_UP = 0x1
#: Of the calling thread's network namespace: as this process has it, and as the lab host does, as a container may only
#: read its own.
_SETTINGS = (Path("/proc/sys/net/bridge"), Path("/proc/1/root/proc/sys/net/bridge"))
# Ports change only when a container does, and a forgotten address costs a packet to every device.
_AGEING_S = 86_400


@dataclass(frozen=True)
class End:
    """An interface of the namespace.

    Attributes:
        index: its number.
        peer: number of its other end, if that is in another namespace.
        bridge: the one that it is a port of.
        far: name of its other end, if that is in this namespace.
    """

    index: int
    peer: int | None
    up: bool
    bridge: str | None
    far: str | None = None


def read_ends() -> dict[str, End]:
    """All interfaces by name."""
    wanted = _LINK.pack(0, 0, 0, 0, 0) + netlink.attribute(_EXT_MASK, struct.pack("=I", _SKIP_STATISTICS))
    found = []
    for reply in netlink.ask(_GETLINK, netlink.DUMP, wanted):
        _, _, index, flags, _ = _LINK.unpack_from(reply)
        found.append((index, bool(flags & _UP), dict(netlink.attributes(reply[_LINK.size :]))))
    names = {index: values[_NAME].rstrip(b"\0").decode() for index, _, values in found}
    ends = {}
    for index, up, values in found:
        peer = _number(values.get(_PEER))
        elsewhere = _PEER_ELSEWHERE in values
        bridge = names.get(_number(values.get(_MASTER)) or 0)
        ends[names[index]] = End(
            index, peer if elsewhere else None, up, bridge, None if elsewhere else names.get(peer or 0)
        )
    return ends


def add_bridge(name: str) -> int:
    """Make a bridge, which is down, without a spanning tree; return its number.

    Raises:
        OSError: the kernel refuses it.
    """
    settings = (
        (_FORWARD_DELAY, struct.pack("=I", 0)),
        (_AGEING_TIME, struct.pack("=I", _AGEING_S * 100)),
        (_STP, struct.pack("=I", 0)),
        (_SNOOPING, b"\0"),
    )
    data = b"".join(netlink.attribute(kind, value) for kind, value in settings)
    _add(name, netlink.attribute(_KIND, b"bridge\0") + netlink.attribute(_DATA, data))
    _leave_out_packet_filter()
    return _index(name)


def filter_packets(index: int) -> None:
    """Have the packet filter see what the bridge of this number passes on.

    Raises:
        OSError: the kernel refuses it.
    """
    data = netlink.attribute(_DATA, netlink.attribute(_CALL_IPTABLES, b"\1"))
    info = netlink.attribute(_INFO, netlink.attribute(_KIND, b"bridge\0") + data)
    netlink.ask(_NEWLINK, 0, _LINK.pack(0, 0, index, 0, 0) + info)


def add_pair(near: str, far: str) -> None:
    """Make a veth pair, both of whose ends are down.

    Raises:
        OSError: the kernel refuses it.
    """
    peer = netlink.attribute(_VETH_PEER, _LINK.pack(0, 0, 0, 0, 0) + _named(far))
    _add(near, netlink.attribute(_KIND, b"veth\0") + netlink.attribute(_DATA, peer))


def connect(end: str, bridge: str, isolated: bool) -> None:
    """Make an interface a port of a bridge, and bring it up.

    Args:
        isolated: from other ports that are isolated, too.

    Raises:
        OSError: the kernel refuses it.
    """
    index = _index(end)
    rtnetlink.set_bridge(index, _index(bridge))
    rtnetlink.set_up(index)
    if isolated:
        data = netlink.attribute(_PORT_DATA, netlink.attribute(_ISOLATED, b"\1"))
        info = netlink.attribute(_INFO, netlink.attribute(_PORT_KIND, b"bridge\0") + data)
        netlink.ask(_NEWLINK, 0, _LINK.pack(0, 0, index, 0, 0) + info)


def _add(name: str, info: bytes) -> None:
    body = _LINK.pack(0, 0, 0, 0, 0) + _named(name) + netlink.attribute(_INFO, info)
    netlink.ask(_NEWLINK, netlink.CREATE | netlink.EXCLUSIVE, body)


def _leave_out_packet_filter() -> None:
    """Have bridges of this namespace not ask the packet filter, unless one is to (:func:`filter_packets`).

    Where ``br_netfilter`` is loaded, a new namespace begins with this on: without any rules it still costs each packet.
    """
    for name in ("iptables", "ip6tables", "arptables"):
        for settings in _SETTINGS:
            try:
                (settings / f"bridge-nf-call-{name}").write_text("0")
            except OSError:
                # It is not loaded, is of the whole lab host (before Linux 5.3), or cannot be written from there.
                continue
            break


def _index(name: str) -> int:
    with netlink.open_channel() as channel:
        return rtnetlink.find_index(name, channel)


def _named(name: str) -> bytes:
    return netlink.attribute(_NAME, name.encode() + b"\0")


def _number(value: bytes | None) -> int | None:
    return None if value is None else int(struct.unpack("=I", value)[0])
