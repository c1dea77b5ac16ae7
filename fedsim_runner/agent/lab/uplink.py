"""The channel's end on the other lab hosts: it reports to the agent on the server's lab host, and learns its state."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from .credentials import read_credentials
from .frames import NONCE_BYTES, ForgedError, Opener, Signer, connection_key, new_nonce

_CONNECT_S = 3.0
_AGAIN_S = 0.5
_SILENT_S = 4.0  # a connection on which nothing has come for so long is opened anew
_CHUNK = 1 << 16


class Uplink:
    """Keeps a connection in a thread of its own. What is sent while there is none leaves with the next one.

    Args:
        host: this lab host's name.
        own_address, address: of this lab host, and of the server's.
        credentials: the file with port and secret, which the plays copy here.
    """

    def __init__(self, host: str, own_address: str, address: str, credentials: Path) -> None:
        self._host = host
        self._own_address = own_address
        self._address = address
        self._credentials = credentials
        self._life = new_nonce().hex()
        self._lock = threading.Lock()
        self._waiting: deque[dict[str, Any]] = deque()  # numbered, and not acknowledged
        self._number = 0
        self._sign: dict[str, Any] | None = None
        self._state: dict[str, Any] | None = None
        self._heard_at: float | None = None
        self._closed_at: float | None = None
        self._server_life: str | None = None
        self._life_heard: str | None = None
        self._is_new_server = False
        self._waker, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def send(self, **message: Any) -> None:
        """Report something; it arrives once, and in order."""
        with self._lock:
            self._number += 1
            self._waiting.append({"n": self._number, **message})
        self._wake()

    def give_sign(self, **message: Any) -> None:
        """Give a sign of life, of which only the last one counts."""
        with self._lock:
            self._sign = message
        self._wake()

    @property
    def state(self) -> dict[str, Any] | None:
        """The last state of the server's agent; None before the first one."""
        with self._lock:
            return self._state

    @property
    def heard_at(self) -> float | None:
        """When that agent gave the last sign of life (monotonic); None: it never has."""
        with self._lock:
            return self._heard_at

    @property
    def closed_at(self) -> float | None:
        """Since when its machine has refused connections, or closed them (monotonic); None: it does not."""
        with self._lock:
            return self._closed_at

    def begin(self) -> None:
        """A course begins: from now on the server's agent has to stay the same process."""
        with self._lock:
            self._server_life, self._is_new_server = self._life_heard, False

    @property
    def is_new_server(self) -> bool:
        """Whether that agent is another process than the one with which the course began."""
        with self._lock:
            return self._is_new_server

    def close(self, flush_s: float = 1.0) -> None:
        """End, once what was sent last has arrived."""
        deadline = time.monotonic() + flush_s
        while time.monotonic() < deadline and self._thread.is_alive() and self._waiting and self._heard_at is not None:
            time.sleep(0.02)
        self._stopping.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join()
        self._waker.close()
        self._woken.close()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._waker.send(b"w")

    def _run(self) -> None:
        while not self._stopping.is_set():
            credentials = read_credentials(self._credentials)
            if credentials is not None:
                try:
                    with socket.create_connection(
                        (self._address, credentials.port), _CONNECT_S, (self._own_address, 0)
                    ) as link:
                        self._serve(link, credentials.secret)
                except (ConnectionError, ForgedError):
                    with self._lock:
                        self._closed_at = self._closed_at or time.monotonic()
                except (OSError, ValueError, KeyError, TypeError):
                    pass  # it says nothing of whether there is an agent: the silence is counted
            self._stopping.wait(_AGAIN_S)

    def _serve(self, link: socket.socket, secret: bytes) -> None:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        theirs = b""
        while len(theirs) < NONCE_BYTES:
            theirs += _receive(link, NONCE_BYTES - len(theirs))
        ours = new_nonce()
        key = connection_key(secret, theirs, ours)
        signer, opener = Signer(key, "to_server"), Opener(key, "from_server")
        link.sendall(ours + signer.frame({"host": self._host, "life": self._life}))
        sent, began = 0, time.monotonic()
        while not self._stopping.is_set():
            sent = self._send_new(link, signer, sent)
            readable, _, _ = select.select([link, self._woken], [], [], 1.0)
            if self._woken in readable:
                self._woken.recv(_CHUNK)
            if link in readable:
                for state in opener.feed(_receive(link, _CHUNK)):
                    self._learn(state)
            if time.monotonic() - max(began, self._heard_at or 0.0) > _SILENT_S:
                return

    def _send_new(self, link: socket.socket, signer: Signer, sent: int) -> int:
        """Send what this connection has not carried yet; return the number of the last message."""
        with self._lock:
            new = [message for message in self._waiting if message["n"] > sent]
            sign, self._sign = self._sign, None
        for message in (*new, *([] if sign is None else [sign])):
            link.sendall(signer.frame(message))
        return new[-1]["n"] if new else sent

    def _learn(self, state: dict[str, Any]) -> None:
        with self._lock:
            self._heard_at, self._closed_at = time.monotonic(), None
            self._life_heard = str(state["life"])
            self._server_life = self._server_life or self._life_heard
            self._is_new_server = self._is_new_server or self._server_life != self._life_heard
            while self._waiting and self._waiting[0]["n"] <= int(state["received"]):
                self._waiting.popleft()
            self._state = state


def _receive(link: socket.socket, most: int) -> bytes:
    data = link.recv(most)
    if not data:
        raise ConnectionResetError("the other agent has closed the connection")
    return data
