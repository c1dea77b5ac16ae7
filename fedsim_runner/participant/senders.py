"""Whom a message is from: the address that its connection comes from says so, not what is written in it.

Each device has an address of its own, which its link does not let it change (docs/network.md), and the server finds all
devices in ``/etc/hosts``. Only that file is asked: a name that a client makes up must not make the server wait for a
resolver. Participants without containers share the loopback, where nothing tells them apart: there a message is from
whom it says.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from .exit_errors import ParticipantError

HOSTS = Path("/etc/hosts")
# A client that is restarted joins again; more often than this it does nothing else.
MOST_JOINS = 100
# Of one sender's refused messages, this many kinds are counted, and logged, each for itself.
MOST_KINDS = 8
# Several participants without containers have these.
_SHARED = ("127.0.0.1", "::1")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_LARGEST_PORT = 65535


class RefusedMessageError(ParticipantError, ValueError):
    """A message that a participant does not take; the text says why, in one line.

    ``client``: the id of the client that it is from, where that is certain.
    """

    def __init__(self, reason: str, client: int | None = None) -> None:
        super().__init__(reason)
        self.client = client


class UnaskedMessageError(RefusedMessageError):
    """A message that is acknowledged, so that its sender goes on, and dropped."""


def source_of(peer: str) -> str:
    """Return the address in gRPC's name of a peer: ``ipv4:198.18.0.2:50052``, ``ipv6:%5B::1%5D:50052``."""
    kind, _, rest = urllib.parse.unquote(peer).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return peer
    try:
        address = ipaddress.ip_address(rest.rpartition(":")[0].strip("[]"))
    except ValueError:
        return peer
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def addresses_of(host: str, hosts: Path = HOSTS) -> frozenset[str]:
    """Return the addresses of a host: itself if it is one, else those that the hosts file gives it; none if unknown."""
    try:
        return frozenset({str(ipaddress.ip_address(host))})
    except ValueError:
        pass
    return _table(hosts).get(host, frozenset())


def server_addresses(host: str) -> frozenset[str]:
    """Return the addresses of the server, whose name this participant's own configuration gives."""
    known = addresses_of(host)
    if known:
        return known
    try:
        return frozenset(str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
    except OSError:
        return frozenset()


def read_address(content: Any) -> tuple[str, int]:
    """Return host and port from the content of a join.

    Raises:
        RefusedMessageError: there is none.
    """
    host, port = (content.get("host"), content.get("port")) if isinstance(content, Mapping) else (None, None)
    if not isinstance(host, str) or not _HOST.fullmatch(host):
        raise RefusedMessageError("it joins without the name of a host")
    if type(port) is not int or not 0 < port <= _LARGEST_PORT:
        raise RefusedMessageError("it joins without a port")
    return host, port


class NotYetError(ParticipantError):
    """A message that a participant cannot judge yet: it may come again; the text says why."""


class Door:
    """Checks whom a server's messages are from. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._joined: dict[str, str] = {}  # by source, the address under which it has joined
        self._joins: dict[str, int] = {}

    def check_join(self, content: Any, source: str) -> None:
        """Check a join: it names its sender, and a sender joins under one address only.

        Raises:
            RefusedMessageError: it does not.
        """
        host, port = read_address(content)
        check_source(f"a client at {host}", host, source)
        address = f"{host}:{port}"
        with self._lock:
            self._joins[address] = joins = self._joins.get(address, 0) + 1
            first = address if source in _SHARED else self._joined.setdefault(source, address)
        if first != address:
            raise RefusedMessageError(f"it has joined as {first}, and wants to join as {address}, too")
        if joins > MOST_JOINS:
            raise RefusedMessageError(f"it has joined {MOST_JOINS} times")


def check_source(who: str, host: str, source: str) -> None:
    """Check that a message is from ``host``, as it says.

    Raises:
        RefusedMessageError: it comes from elsewhere.
    """
    if source not in addresses_of(host):
        raise RefusedMessageError(f"it speaks for {who}")


class Refusals:
    """Logs refused messages: of each kind the first of a sender, the tenth, the hundredth and so on.

    A log line is a sign of life to the agent, and takes space: a flood of messages must not become one of lines. So
    only the first few kinds of a sender are distinguished.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._counts: dict[str, dict[str, int]] = {}  # by source and kind

    def add(self, source: str, reason: str, kind: str = "") -> bool:
        """Count one message from ``source`` that was refused for this reason; return whether it was logged."""
        with self._lock:
            counts = self._counts.setdefault(source, {})
            kind = kind if kind in counts or len(counts) < MOST_KINDS else ""
            counts[kind] = count = counts.get(kind, 0) + 1
        logged = str(count).strip("0") == "1"
        if logged:
            so_far = f" ({count} so far)" if count > 1 else ""
            self._log(f"a message from {_named(source)} is refused{so_far}: {reason}")
        return logged


def _named(source: str) -> str:
    names = [name for name, addresses in _table(HOSTS).items() if source in addresses]
    return f"{names[0]} ({source})" if names else source


def _table(hosts: Path) -> Mapping[str, frozenset[str]]:
    """The addresses in a hosts file by name, read again when it has changed: every message is looked up in it."""
    try:
        status = hosts.stat()
        return _read_table(hosts, (status.st_mtime_ns, status.st_size, status.st_ino))
    except OSError:
        return {}


@lru_cache(maxsize=2)
def _read_table(hosts: Path, mark: tuple[int, int, int]) -> Mapping[str, frozenset[str]]:
    table: dict[str, frozenset[str]] = {}
    for line in hosts.read_text(encoding="utf-8", errors="replace").splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            table[name] = table.get(name, frozenset()) | {address}
    return table
