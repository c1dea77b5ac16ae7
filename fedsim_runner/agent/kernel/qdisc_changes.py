"""Changing qdiscs in place, over rtnetlink, and reading them back.

Numbers and forms: linux/rtnetlink.h, linux/pkt_sched.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Mapping

from . import netlink

_MESSAGE = struct.Struct("=BxxxiIII")  # family, index, handle, parent, info
_NEWQDISC, _GETQDISC = 36, 38
_KIND, _OPTIONS = 1, 2
_LARGEST = 0xFFFFFFFF
_ETHERNET = 1  # so that the kernel does not look at a table of transmission times, which is only zeros here
#: Of such a table, entries are for packets whose lengths differ by 2 to the power of this.
CELL_LOG = 9
TICK_S = 64e-9  # in which the kernel keeps the time that a burst takes at its rate


#: The kinds and options of qdiscs, by number of the interface and handle of what each is below.
Shown = Mapping[tuple[int, int], tuple[str, bytes]]


def qdisc_change(handle: int, parent: int, kind: str, options: bytes) -> netlink.Form:
    """The request to change a qdisc in place.

    Args:
        handle: the qdisc's; 0: whatever it is.
        parent: what it is below.
        kind: it is of this kind.
        options: in the kernel's own form.
    """
    named = netlink.attribute(_KIND, kind.encode() + b"\0") + netlink.attribute(_OPTIONS, options)
    return netlink.Form.of(netlink.Request(_NEWQDISC, 0, _MESSAGE.pack(0, 0, handle, parent, 0) + named))


def show(channel: socket.socket) -> Shown:
    """All qdiscs of a channel's namespace."""
    found = {}
    for reply in netlink.ask(_GETQDISC, netlink.DUMP, _MESSAGE.pack(0, 0, 0, 0, 0), channel):
        _, owner, _, parent, _ = _MESSAGE.unpack_from(reply)
        values = dict(netlink.attributes(reply[_MESSAGE.size :]))
        found[owner, parent] = values.get(_KIND, b"").rstrip(b"\0").decode(), values.get(_OPTIONS, b"")
    return found


def options_of(shown: Shown, index: int, parent: int, kind: str) -> bytes:
    """The options of the qdisc of this kind that is below ``parent``, in the kernel's own form.

    Raises:
        OSError: there is none.
    """
    found, options = shown.get((index, parent), ("", b""))
    if found != kind:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), kind)
    return options


def rate_specification(rate_bps: int) -> bytes:
    """A rate as struct tc_ratespec, which holds up to 34 Gbit/s."""
    return struct.pack("=BBHhHI", CELL_LOG, _ETHERNET, 0, -1, 0, min(rate_bps // 8, _LARGEST))
