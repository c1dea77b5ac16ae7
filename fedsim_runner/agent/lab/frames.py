"""Messages between two agents as signed frames: nobody without the run's secret can write, change or repeat one.

Whoever accepts a connection sends a nonce, the other side answers with its own, and the key of the connection is made
of both and of the secret. A frame is its length, an HMAC-SHA256 (RFC 2104) of direction, number and content, and the
content as JSON. What passes can be read by whoever sees the network: it is about a course, and has no secret.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from fedsim_runner.contract.errors import FedsimError

NONCE_BYTES = 16
LONGEST = 1 << 24
_HEAD = struct.Struct(">I32s")
_NUMBER = struct.Struct(">BQ")

Direction = Literal["to_server", "from_server"]
_DIRECTIONS: dict[Direction, int] = {"to_server": 0, "from_server": 1}


class ForgedError(FedsimError):
    """The other side does not have the run's secret, or something on the way has changed what it sent."""


def new_nonce() -> bytes:
    """Return bytes that no other connection has."""
    return secrets.token_bytes(NONCE_BYTES)


def connection_key(secret: bytes, of_server: bytes, of_member: bytes) -> bytes:
    """Return the key of one connection."""
    return hmac.digest(secret, b"fedsim channel" + of_server + of_member, hashlib.sha256)


class Signer:
    """Makes the frames of one direction of a connection."""

    def __init__(self, key: bytes, direction: Direction) -> None:
        self._key = key
        self._direction = _DIRECTIONS[direction]
        self._sent = 0

    def frame(self, message: Mapping[str, Any]) -> bytes:
        content = json.dumps(message).encode()
        mac = _mac(self._key, self._direction, self._sent, content)
        self._sent += 1
        return _HEAD.pack(len(content), mac) + content


class Opener:
    """Reads the frames of one direction of a connection."""

    def __init__(self, key: bytes, direction: Direction) -> None:
        self._key = key
        self._direction = _DIRECTIONS[direction]
        self._received = 0
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Yield the messages that are complete with this data.

        Raises:
            ForgedError: a frame is not what the other side sent, or is out of order.
        """
        self._data += data
        while len(self._data) >= _HEAD.size:
            length, mac = _HEAD.unpack_from(self._data)
            if length > LONGEST:
                raise ForgedError(f"a frame of {length} bytes")
            if len(self._data) < _HEAD.size + length:
                return
            content = bytes(self._data[_HEAD.size : _HEAD.size + length])
            del self._data[: _HEAD.size + length]
            if not hmac.compare_digest(mac, _mac(self._key, self._direction, self._received, content)):
                raise ForgedError("a frame without the run's secret")
            self._received += 1
            message = json.loads(content)
            if not isinstance(message, dict):
                raise ForgedError("a frame that is no message")
            yield message


def _mac(key: bytes, direction: int, number: int, content: bytes) -> bytes:
    return hmac.digest(key, _NUMBER.pack(direction, number) + content, hashlib.sha256)
