"""The channel's end on the server's lab host: it takes what the other agents report, and tells all of them one state.

What an agent reports is numbered and repeated until it was acknowledged, so a connection that breaks loses nothing.
What it gets is the whole state each time, so the last one that arrives is enough. Both begin anew with each
agent's process, which its ``life`` stands for.
"""

from __future__ import annotations

import contextlib
import errno
import queue
import selectors
import socket
import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fedsim_runner.contract.errors import Exit, FedsimError

from . import stamped
from .clock import answer
from .credentials import PORTS, Credentials
from .frames import NONCE_BYTES, ForgedError, Opener, Signer, connection_key, new_nonce

HELLO_S = 5.0  # within which a connection must have shown that it is of this run
_CHUNK = 1 << 16
_MOST_CONNECTIONS = 4  # of one lab host at a time: the last one counts
_MOST_UNSENT = 1 << 22  # bytes for a lab host that takes none


class ChannelError(FedsimError):
    """This lab host cannot listen to the others."""

    exit = Exit.LAB


@dataclass(frozen=True)
class Member:
    """What is known of the agent of another lab host. Times are on the monotonic clock.

    Attributes:
        heard_at: when it last gave a sign of life; None: it never has.
        closed_at: since when its connection is closed; None: it is open, or never was.
        life: which process of it that was.
    """

    heard_at: float | None = None
    closed_at: float | None = None
    life: str | None = None


@dataclass
class _Connection:
    link: socket.socket
    since: float
    nonce: bytes = field(default_factory=new_nonce)
    begun: bytes = b""  # of the other side's nonce
    opener: Opener | None = None
    signer: Signer | None = None
    host: str | None = None
    out: bytearray = field(default_factory=bytearray)


def listen(run: str, address: str, known: Credentials | None) -> tuple[socket.socket, socket.socket, int]:
    """Return a TCP and a UDP socket on one port, and the port; after a restart it is the same one.

    Raises:
        ChannelError: this lab host does not have the address, or all ports are taken.
    """
    first = zlib.crc32(run.encode()) % len(PORTS)
    ports = [known.port] if known is not None else [PORTS[(first + step) % len(PORTS)] for step in range(len(PORTS))]
    for port in ports:
        stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            stream.bind((address, port))
            datagrams.bind((address, port))
            stream.listen(128)
            stamped.stamp_arrivals(datagrams)
        except OSError as error:
            stream.close()
            datagrams.close()
            if error.errno == errno.EADDRINUSE:
                continue
            raise ChannelError(
                f"this lab host cannot listen at its address {address}: {error.strerror}",
                hint="the inventory has to name an address of the lab host at which the others reach it",
            ) from error
        return stream, datagrams, port
    raise ChannelError(f"none of the ports {ports[0]} to {ports[-1]} of {address} is free")


class Hub:
    """Serves the agents of the other lab hosts in a thread of its own.

    Args:
        sockets: TCP and UDP, from :func:`listen`.
        secret: the run's.
        members: addresses of the other lab hosts, by name.

    Attributes:
        inbox: what they report: the lab host, and the message.
    """

    def __init__(self, sockets: tuple[socket.socket, socket.socket], secret: bytes, members: Mapping[str, str]) -> None:
        self._stream, self._datagrams = sockets
        self._secret = secret
        self._addresses = dict(members)
        self._life = new_nonce().hex()
        self._lock = threading.Lock()
        self._members = {name: Member() for name in members}
        self._received = dict.fromkeys(members, 0)
        self._state: dict[str, Any] = {}
        self._connections: dict[socket.socket, _Connection] = {}
        self._selector = selectors.DefaultSelector()
        self._waker, self._woken = socket.socketpair()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="hub", daemon=True)
        self.inbox: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()

    def start(self) -> None:
        for one in (self._stream, self._datagrams, self._woken):
            one.setblocking(False)
            self._selector.register(one, selectors.EVENT_READ)
        self._thread.start()

    def members(self) -> dict[str, Member]:
        """What is known of each of the other agents."""
        with self._lock:
            return dict(self._members)

    def publish(self, state: Mapping[str, Any]) -> None:
        """Tell all of them this state, now and whenever one connects."""
        with self._lock:
            self._state = dict(state)
        self._wake()

    def close(self, flush_s: float = 1.0) -> None:
        """End, once what was published last has left."""
        deadline = time.monotonic() + flush_s
        while time.monotonic() < deadline and self._thread.is_alive() and self._is_sending():
            time.sleep(0.02)
        self._stopping = True
        self._wake()
        if self._thread.is_alive():
            self._thread.join()
        for one in (*self._connections, self._stream, self._datagrams, self._waker, self._woken):
            one.close()
        self._selector.close()

    def _is_sending(self) -> bool:
        with self._lock:
            return bool(self._state) and any(one.out for one in self._connections.values())

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._waker.send(b"w")

    def _run(self) -> None:
        published: dict[str, Any] = {}
        while not self._stopping:
            for key, events in self._selector.select(1.0):
                if key.fileobj is self._stream:
                    self._accept()
                elif key.fileobj is self._datagrams:
                    self._tell_time()
                elif key.fileobj is self._woken:
                    self._woken.recv(_CHUNK)
                else:
                    self._serve(self._connections[key.fileobj], events)  # type: ignore[index]  # a socket
            with self._lock:
                state = self._state
            if state is not published:
                published = state
                for one in list(self._connections.values()):
                    self._tell(one, state)
            self._drop_strangers()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            link, (address, _) = self._stream.accept()
            if address not in self._addresses.values() or self._count(address) >= _MOST_CONNECTIONS:
                link.close()
                return
            link.setblocking(False)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one = _Connection(link, time.monotonic())
            self._connections[link] = one
            self._selector.register(link, selectors.EVENT_READ)
            self._send(one, one.nonce)

    def _count(self, address: str) -> int:
        return sum(link.getpeername()[0] == address for link in self._connections if _is_connected(link))

    def _tell_time(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                datagram, sender, moment = stamped.receive(self._datagrams)
                if sender[0] in self._addresses.values():
                    said = answer(self._secret, datagram, moment, time.time())
                    if said is not None:
                        self._datagrams.sendto(said, sender)

    def _serve(self, one: _Connection, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._send(one, b"")
            if events & selectors.EVENT_READ:
                data = one.link.recv(_CHUNK)
                if not data:
                    self._drop(one)
                    return
                self._take(one, data)
        except BlockingIOError:
            return
        except (OSError, ForgedError, ValueError, KeyError, TypeError):
            self._drop(one)

    def _take(self, one: _Connection, data: bytes) -> None:
        if one.opener is None:
            one.begun += data
            if len(one.begun) < NONCE_BYTES:
                return
            theirs, data = one.begun[:NONCE_BYTES], one.begun[NONCE_BYTES:]
            key = connection_key(self._secret, one.nonce, theirs)
            one.opener, one.signer = Opener(key, "to_server"), Signer(key, "from_server")
        for message in one.opener.feed(data):
            if one.host is None:
                self._greet(one, message)
            else:
                self._handle(one.host, message)

    def _greet(self, one: _Connection, hello: dict[str, Any]) -> None:
        host, life = str(hello["host"]), str(hello["life"])
        if self._addresses.get(host) != one.link.getpeername()[0]:
            raise ForgedError(f"lab host {host} is elsewhere")
        for other in [each for each in self._connections.values() if each.host == host]:
            self._close(other)
        one.host = host
        with self._lock:
            if self._members[host].life != life:
                self._received[host] = 0
            self._members[host] = Member(time.monotonic(), None, life)
            state = self._state
        self._tell(one, state)

    def _handle(self, host: str, message: dict[str, Any]) -> None:
        with self._lock:
            self._members[host] = replace(self._members[host], heard_at=time.monotonic(), closed_at=None)
            number = message.get("n")
            if number is not None:
                if int(number) <= self._received[host]:
                    return  # it was repeated
                self._received[host] = int(number)
        self.inbox.put((host, message))

    def _tell(self, one: _Connection, state: Mapping[str, Any]) -> None:
        if one.signer is None or one.host is None or len(one.out) > _MOST_UNSENT:
            return
        with self._lock:
            acknowledged = self._received[one.host]
        try:
            self._send(one, one.signer.frame({**state, "life": self._life, "received": acknowledged}))
        except OSError:
            self._drop(one)

    def _send(self, one: _Connection, data: bytes) -> None:
        one.out += data
        with contextlib.suppress(BlockingIOError):
            del one.out[: one.link.send(one.out)]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if one.out else 0)
        self._selector.modify(one.link, wanted)

    def _drop(self, one: _Connection) -> None:
        self._close(one)
        if one.host is not None:
            with self._lock:
                self._members[one.host] = replace(self._members[one.host], closed_at=time.monotonic())

    def _close(self, one: _Connection) -> None:
        if self._connections.pop(one.link, None) is not None:
            self._selector.unregister(one.link)
        one.link.close()

    def _drop_strangers(self) -> None:
        """Close the connections that have not shown in time that they are of this run."""
        late = time.monotonic() - HELLO_S
        for one in [each for each in self._connections.values() if each.host is None and each.since < late]:
            self._close(one)


def _is_connected(link: socket.socket) -> bool:
    try:
        link.getpeername()
    except OSError:
        return False
    return True
