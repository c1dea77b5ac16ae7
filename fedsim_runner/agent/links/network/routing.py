"""Routes over other devices, in the calling thread's network namespace, over rtnetlink.

What a device passes on has a table of its own, so that it does not reach itself what it passes on for others.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections.abc import Mapping

from ...kernel import netlink
from .ways import Ways

_ROUTE = struct.Struct("=BBBBBBBBI")  # family, prefix lengths, tos, table, protocol, scope, type, flags; a rule's, too
_LINK = struct.Struct("=BxHiII")
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_NEWRULE, _DELRULE, _GETRULE = 32, 33, 34
_NEWLINK, _GETLINK = 16, 18
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_TABLE = 1, 4, 5, 15
_FRA_IIFNAME, _FRA_PRIORITY, _FRA_TABLE = 3, 6, 15
_IFLA_AF_SPEC, _IFLA_INET_CONF = 26, 1
_FORWARDING, _ACCEPT_REDIRECTS, _SEND_REDIRECTS = 1, 4, 6  # of an interface
_UNICAST, _UNIVERSE, _ON_LINK = 1, 0, 4
_TO_TABLE = 1  # what a rule does
_MAIN, _PASSED = 254, 100
_OURS = 0x66  # the protocol of routes that were made here
_PRIORITY = 100


def read_ways(index: int) -> Ways | None:
    """The routes over other devices from an interface; None: there are none, and nothing is passed on."""
    own, passed = _routes(index)
    if not own and not passed and not _rules():
        return None
    conf = _conf(index)
    passes = conf.get(_FORWARDING) == 1 and conf.get(_ACCEPT_REDIRECTS) == 0 and len(_rules()) == 1
    return Ways(own, passed, passes)


def set_ways(index: int, interface: str, wanted: Ways | None) -> None:
    """Make these the routes over other devices from an interface."""
    own, passed = _routes(index)
    for table, active, routes in (
        (_MAIN, own, {} if wanted is None else wanted.own),
        (_PASSED, passed, {} if wanted is None else wanted.passed),
    ):
        _set_table(index, table, active, routes)
    rule = netlink.attribute(_FRA_IIFNAME, interface.encode() + b"\0")
    rule += netlink.attribute(_FRA_PRIORITY, struct.pack("=I", _PRIORITY))
    body = _ROUTE.pack(socket.AF_INET, 0, 0, 0, _PASSED, 0, 0, _TO_TABLE, 0) + rule
    rules = len(_rules())
    for _ in range(rules if wanted is None else rules - 1):
        netlink.ask(_DELRULE, 0, body)
    if wanted is not None:
        if not rules:
            netlink.ask(_NEWRULE, netlink.CREATE, body)
        # A redirect would lead past the device that passes packets on.
        _set_conf(index, {_FORWARDING: 1, _ACCEPT_REDIRECTS: 0, _SEND_REDIRECTS: 0})


def _set_table(index: int, table: int, active: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    for receiver, following in active.items():
        if receiver not in wanted:
            netlink.ask(_DELROUTE, 0, _route(index, table, receiver, following))
    for receiver, following in wanted.items():
        if active.get(receiver) != following:
            netlink.ask(_NEWROUTE, netlink.CREATE | netlink.REPLACE, _route(index, table, receiver, following))


def _route(index: int, table: int, receiver: str, following: str) -> bytes:
    head = _ROUTE.pack(socket.AF_INET, 32, 0, 0, table, _OURS, _UNIVERSE, _UNICAST, _ON_LINK)
    body = netlink.attribute(_RTA_DST, ipaddress.IPv4Address(receiver).packed)
    body += netlink.attribute(_RTA_GATEWAY, ipaddress.IPv4Address(following).packed)
    return head + body + netlink.attribute(_RTA_OIF, struct.pack("=i", index))


def _routes(index: int) -> tuple[dict[str, str], dict[str, str]]:
    """Next devices by receiver, of what is sent and of what is passed on."""
    found: dict[int, dict[str, str]] = {_MAIN: {}, _PASSED: {}}
    for reply in netlink.ask(_GETROUTE, netlink.DUMP, _ROUTE.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)):
        _, _, _, _, table, protocol, _, _, _ = _ROUTE.unpack_from(reply)
        values = dict(netlink.attributes(reply[_ROUTE.size :]))
        owner = struct.unpack("=i", values.get(_RTA_OIF, bytes(4)))[0]
        if protocol == _OURS and owner == index and table in found and _RTA_GATEWAY in values:
            receiver = str(ipaddress.IPv4Address(values.get(_RTA_DST, bytes(4))))
            found[table][receiver] = str(ipaddress.IPv4Address(values[_RTA_GATEWAY]))
    return found[_MAIN], found[_PASSED]


def _rules() -> list[bytes]:
    """The rules that send what comes from others to the table for it."""
    try:
        replies = netlink.ask(_GETRULE, netlink.DUMP, _ROUTE.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0))
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:  # a kernel without rules passes nothing on
            return []
        raise
    return [reply for reply in replies if _ROUTE.unpack_from(reply)[4] == _PASSED]


def _conf(index: int) -> dict[int, int]:
    """An interface's IPv4 settings, by number."""
    reply = netlink.ask(_GETLINK, 0, _LINK.pack(0, 0, index, 0, 0))[0]
    per_family = dict(netlink.attributes(dict(netlink.attributes(reply[_LINK.size :])).get(_IFLA_AF_SPEC, b"")))
    inet = dict(netlink.attributes(per_family.get(socket.AF_INET, b"")))
    values = inet.get(_IFLA_INET_CONF, b"")
    return dict(enumerate(struct.unpack(f"={len(values) // 4}i", values), 1))


def _set_conf(index: int, wanted: Mapping[int, int]) -> None:
    values = b"".join(netlink.attribute(number, struct.pack("=I", value)) for number, value in wanted.items())
    inet = netlink.attribute(socket.AF_INET, netlink.attribute(_IFLA_INET_CONF, values))
    netlink.ask(_NEWLINK, 0, _LINK.pack(0, 0, index, 0, 0) + netlink.attribute(_IFLA_AF_SPEC, inet))
