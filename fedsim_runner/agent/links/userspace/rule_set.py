"""Whether the packet filter's rules in a namespace have changed, without a program: nftables counts its changes.

``iptables-nft -S`` takes 10 to 20 ms of CPU in each device's namespace, more than all else that reading a link needs.
Messages and numbers: linux/netfilter/nfnetlink.h, nf_tables.h (``NFT_MSG_GETGEN``). The older interface tells at least
how many rules a table has: linux/netfilter_ipv4/ip_tables.h (``IPT_SO_GET_INFO``).
"""

from __future__ import annotations

import ctypes
import socket
import struct
import threading
from dataclasses import dataclass
from pathlib import Path

from .nfqueue import NETLINK_NETFILTER
from .queue_rule import IPTABLES_NFT, TABLE

_GET_GENERATION = (10 << 8) | 16
_REQUEST = 1
_HEADER = struct.Struct("=IHHII")  # length, kind, flags, sequence, port
_GENERATION_ID = 1  # the first attribute of the answer, a big-endian number
_UNTOUCHED = 1
_IPT_SO_GET_INFO = 64
_INFO = struct.Struct("=32s13I")  # name; hooks, entries and underflows of each, number of entries, size
_PREROUTING_ENTRY, _PREROUTING_UNDERFLOW = 2, 7  # where the chain's rules begin, and where its policy is

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class RuleSet:
    """The rules of one namespace at one moment; equal if they are the same ones.

    Attributes:
        namespace: the device and inode numbers that identify the namespace.
        generation: how often nftables has changed there, from 1.
    """

    namespace: tuple[int, int]
    generation: int

    @property
    def untouched(self) -> bool:
        """Whether nobody has ever set a rule there."""
        return self.generation == _UNTOUCHED


def read_rule_set() -> RuleSet | None:
    """Identify the nftables rules of the calling thread's namespace; None if the kernel does not count changes."""
    status = Path(f"/proc/self/task/{threading.get_native_id()}/ns/net").stat()
    body = struct.pack("=BBH", socket.AF_UNSPEC, 0, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER) as channel:
            channel.sendto(_HEADER.pack(_HEADER.size + len(body), _GET_GENERATION, _REQUEST, 1, 0) + body, (0, 0))
            answer = channel.recv(1 << 13)
    except OSError:
        return None
    attribute = _HEADER.size + len(body)
    if len(answer) < attribute + 8 or struct.unpack_from("=HH", answer, attribute) != (8, _GENERATION_ID):
        return None  # an error: there is no nftables
    return RuleSet((status.st_dev, status.st_ino), struct.unpack_from(">I", answer, attribute + 4)[0])


def trace(iptables: str) -> object:
    """What differs once rules that this variant of iptables sets have been added to or removed from the namespace."""
    if iptables == IPTABLES_NFT:
        return read_rule_set()
    return read_rule_set(), _read_table()  # a program named only `iptables` is one or the other


def has_empty_chain() -> bool:
    """Whether the older interface certainly has no rule in the queue rule's chain in the calling thread's namespace."""
    table = _read_table()
    if table is None:
        return False
    fields = _INFO.unpack(table)
    return bool(fields[_PREROUTING_ENTRY] == fields[_PREROUTING_UNDERFLOW])


def _read_table() -> bytes | None:
    """The extent of the queue rule's table in the calling thread's namespace; None if there is no such table."""
    found = ctypes.create_string_buffer(_INFO.pack(TABLE.encode(), *[0] * 13), _INFO.size)
    length = ctypes.c_uint32(_INFO.size)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW) as channel:
            code = _libc.getsockopt(channel.fileno(), socket.SOL_IP, _IPT_SO_GET_INFO, found, ctypes.byref(length))
    except OSError:
        return None
    return found.raw if code == 0 else None
