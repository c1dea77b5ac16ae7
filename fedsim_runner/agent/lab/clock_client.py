"""Asks the server's lab host for the time, every ten seconds, in a thread of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from . import stamped
from .clock import ClockOffset, Exchange, fastest, question, read_answer
from .credentials import Credentials, read_credentials

EVERY_S = 10.0
EXCHANGES = 8
_ANSWERS_S = 0.25  # for one answer
_AGAIN_S = 0.5  # until the first is known


class ClockClient:
    """Keeps the latest offset of the server's clock.

    Args:
        address: of the server's lab host.
        credentials: the file with port and secret.
        tell: called with each new offset, from this thread.
    """

    def __init__(self, address: str, credentials: Path, tell: Callable[[ClockOffset], None]) -> None:
        self._address = address
        self._credentials = credentials
        self._tell = tell
        self._stopping = threading.Event()
        self._number = 0
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)
        self.latest: ClockOffset | None = None

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            credentials = read_credentials(self._credentials)
            found = None
            if credentials is not None:
                with contextlib.suppress(OSError):
                    found = fastest(self._ask(credentials))
            if found is not None:
                self.latest = found
                self._tell(found)
            self._stopping.wait(EVERY_S if found is not None else _AGAIN_S)

    def _ask(self, credentials: Credentials) -> list[Exchange]:
        found: list[Exchange] = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
            stamped.stamp_arrivals(endpoint)
            endpoint.settimeout(_ANSWERS_S)
            endpoint.connect((self._address, credentials.port))
            for _ in range(EXCHANGES):
                self._number += 1
                endpoint.send(question(credentials.secret, self._number, time.time()))
                try:
                    data, _, moment = stamped.receive(endpoint)
                except TimeoutError:
                    continue
                read = read_answer(credentials.secret, data, moment)
                if read is not None and read[0] == self._number:  # else it is a late one
                    found.append(read[1])
        return found
