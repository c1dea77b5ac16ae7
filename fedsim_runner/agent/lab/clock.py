"""By how much this lab host's clock differs from that of the server's lab host: the arithmetic and the datagrams. Pure.

Four time stamps, as in NTP (RFC 5905, section 8): the question leaves here at ``t1`` and arrives there at ``t2``, the
answer leaves there at ``t3`` and arrives here at ``t4``. The clock there minus the one here is
``((t2 - t1) + (t3 - t4)) / 2``; it is wrong by at most half the round trip, which the fastest of several has least of.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterable
from dataclasses import dataclass

_QUESTION = struct.Struct(">4sQd")
_ANSWER = struct.Struct(">4sQddd")
_MAC_BYTES = 16
_ASKS, _SAYS = b"FSQ1", b"FSA1"


@dataclass(frozen=True)
class Exchange:
    """Four time stamps (Unix seconds): ``t1`` and ``t4`` by the clock here, ``t2`` and ``t3`` by the server's."""

    t1: float
    t2: float
    t3: float
    t4: float

    @property
    def offset_s(self) -> float:
        """The clock there minus the one here."""
        return ((self.t2 - self.t1) + (self.t3 - self.t4)) / 2

    @property
    def round_trip_s(self) -> float:
        return max(0.0, (self.t4 - self.t1) - (self.t3 - self.t2))


@dataclass(frozen=True)
class ClockOffset:
    """The clock of the server's lab host minus the one here, in seconds; it is within ``bound_s`` of that."""

    offset_s: float
    bound_s: float


def fastest(exchanges: Iterable[Exchange]) -> ClockOffset | None:
    """Return what the fastest of these exchanges says; None without any."""
    best = min(exchanges, key=lambda one: one.round_trip_s, default=None)
    return None if best is None else ClockOffset(best.offset_s, best.round_trip_s / 2)


def question(secret: bytes, number: int, t1: float) -> bytes:
    """Return a datagram that asks for the time."""
    return _sign(secret, _QUESTION.pack(_ASKS, number, t1))


def answer(secret: bytes, datagram: bytes, t2: float, t3: float) -> bytes | None:
    """Return the answer to a question; None if it is none of this run."""
    content = _open(secret, datagram, _QUESTION.size)
    if content is None:
        return None
    kind, number, t1 = _QUESTION.unpack(content)
    return _sign(secret, _ANSWER.pack(_SAYS, number, t1, t2, t3)) if kind == _ASKS else None


def read_answer(secret: bytes, datagram: bytes, t4: float) -> tuple[int, Exchange] | None:
    """Return the number of the question and the time stamps; None if it is no answer of this run."""
    content = _open(secret, datagram, _ANSWER.size)
    if content is None:
        return None
    kind, number, t1, t2, t3 = _ANSWER.unpack(content)
    return (number, Exchange(t1, t2, t3, t4)) if kind == _SAYS else None


def _sign(secret: bytes, content: bytes) -> bytes:
    return content + _mac(secret, content)


def _open(secret: bytes, datagram: bytes, size: int) -> bytes | None:
    content, mac = datagram[:size], datagram[size:]
    return content if len(content) == size and hmac.compare_digest(mac, _mac(secret, content)) else None


def _mac(secret: bytes, content: bytes) -> bytes:
    return hmac.digest(secret, b"fedsim clock" + content, hashlib.sha256)[:_MAC_BYTES]
