"""Qdiscs of the calling thread's network namespace, over rtnetlink: their settings, filters and counters."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from . import netlink, rtnetlink

_QDISC = struct.Struct("=BxxxiIII")  # family, index, handle, parent, info
_NEWQDISC, _GETQDISC, _GETTFILTER = 36, 38, 46
_TCA_KIND, _TCA_OPTIONS, _TCA_STATS2 = 1, 2, 7
_STATS_BASIC, _STATS_QUEUE = 1, 3
_BASIC_ACTIONS, _ACTION_OPTIONS, _POLICE = 3, 2, 1
_POLICER_SETTINGS = slice(4, 44)  # of struct tc_police, without its number and how often it is used
_BURST = struct.Struct("=8xI")  # in these
_TICK_S = 64e-9  # in which the kernel shows a burst: as the time that it takes at the rate

#: What a root qdisc is below.
ROOT = 0xFFFFFFFF
#: The delay of a root qdisc with one of these handles is changed all the time: it is the first number of its options,
#: and this attribute of them. Neither counts as a change.
MOVING_HANDLES, DELAY_ATTRIBUTE = range(0x10, 0x30), 10
_NETEM_OPTIONS = 24  # bytes, of which the first four are the delay
_SEED_ATTRIBUTE = 14  # of a netem's random numbers: Linux 6.6 and later draw one for each


@dataclass(frozen=True)
class QdiscCounters:
    """What has left a qdisc, in bytes and packets, packets that it has dropped, and bytes that wait in it now."""

    bytes: int
    packets: int
    dropped: int
    backlog: int


def raw_qdiscs(index: int, moved_delays: bool = False) -> tuple[bytes, ...]:
    """The qdiscs of an interface in the kernel's own form, without their counters: equal if nothing was changed.

    ``moved_delays``: with those that are changed all the time, as they are now.
    """
    return all_raw_qdiscs(moved_delays).get(index, ())


def all_raw_qdiscs(moved_delays: bool = False) -> dict[int, tuple[bytes, ...]]:
    """The qdiscs of all interfaces, by the number of each, as :func:`raw_qdiscs`."""
    found: dict[int, tuple[bytes, ...]] = {}
    with netlink.open_channel() as channel:
        for reply in netlink.ask(_GETQDISC, netlink.DUMP, _QDISC.pack(0, 0, 0, 0, 0), channel):
            _, owner, handle, parent, _ = _QDISC.unpack_from(reply)
            values = dict(netlink.attributes(reply[_QDISC.size :]))
            kind, options = values.get(_TCA_KIND, b""), values.get(_TCA_OPTIONS, b"")
            if kind == b"netem\0":
                moved = handle >> 16 in MOVING_HANDLES and parent == ROOT
                options = _settings_of_netem(options, moved and not moved_delays)
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
    found = rtnetlink.find_interface(interface)
    if found is None:
        return None
    with netlink.open_channel() as channel:
        return policed_by(found.index, int(handle.partition(":")[0], 16) << 16, channel)


def policed_by(index: int, handle: int, channel: socket.socket) -> float | None:
    """As :func:`policed_s`, with the numbers of the interface and of the qdisc, in a channel's namespace."""
    policers = _policers(channel, index, handle)
    return float(_BURST.unpack_from(policers[0])[0]) * _TICK_S if policers else None


def _policers(channel: socket.socket, index: int, handle: int) -> list[bytes]:
    """The settings of the policers in a qdisc's filters (of the kind ``basic``), in the kernel's own form."""
    found = []
    for reply in netlink.ask(_GETTFILTER, netlink.DUMP, _QDISC.pack(0, index, 0, handle, 0), channel):
        options = dict(netlink.attributes(reply[_QDISC.size :])).get(_TCA_OPTIONS, b"")
        for _, action in netlink.attributes(dict(netlink.attributes(options)).get(_BASIC_ACTIONS, b"")):
            police = dict(netlink.attributes(dict(netlink.attributes(action)).get(_ACTION_OPTIONS, b""))).get(_POLICE)
            if police is not None:
                found.append(police[_POLICER_SETTINGS])
    return found


def qdisc_counters(channel: socket.socket | None = None) -> dict[int, dict[int, QdiscCounters]]:
    """The counters of all interfaces' qdiscs: by number of the interface, and by handle of what each is below.

    Args:
        channel: to the namespace; None: the calling thread's.
    """
    found: dict[int, dict[int, QdiscCounters]] = {}
    for reply in netlink.ask(_GETQDISC, netlink.DUMP, _QDISC.pack(0, 0, 0, 0, 0), channel):
        _, owner, _, parent, _ = _QDISC.unpack_from(reply)
        values = dict(netlink.attributes(reply[_QDISC.size :]))
        statistics = dict(netlink.attributes(values.get(_TCA_STATS2, b"")))
        if _STATS_BASIC in statistics and _STATS_QUEUE in statistics:
            passed, packets = struct.unpack_from("=QI", statistics[_STATS_BASIC])
            _, backlog, dropped = struct.unpack_from("=III", statistics[_STATS_QUEUE])
            found.setdefault(owner, {})[parent] = QdiscCounters(passed, packets, dropped, backlog)
    return found


def change_root_qdisc(channel: socket.socket, interface: str, kind: str, options: bytes) -> None:
    """Change an interface's root qdisc in place.

    Args:
        channel: to the namespace of the interface.
        options: in the kernel's own form.

    Raises:
        OSError: there is none, or one of another kind.
    """
    index = rtnetlink.find_index(interface, channel)
    named = netlink.attribute(_TCA_KIND, kind.encode() + b"\0") + netlink.attribute(_TCA_OPTIONS, options)
    netlink.ask(_NEWQDISC, 0, _QDISC.pack(0, index, 0, ROOT, 0) + named, channel)


def _settings_of_netem(options: bytes, without_delay: bool) -> bytes:
    """Its options without the seed, and without the delay."""
    left_out = {_SEED_ATTRIBUTE, DELAY_ATTRIBUTE} if without_delay else {_SEED_ATTRIBUTE}
    head, rest = options[:_NETEM_OPTIONS], options[_NETEM_OPTIONS:]
    kept = [netlink.attribute(kind, value) for kind, value in netlink.attributes(rest) if kind not in left_out]
    return (head[4:] if without_delay else head) + b"".join(kept)
