"""The few calls of the Docker Engine API that the agent makes, over its socket, with only the standard library.

The path names the version of the API that this is written for, or the oldest one that the Engine still takes: each new
Engine may change what a call without a version returns, and raise its minimum.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from fedsim_runner.contract.errors import Exit, FedsimError

SOCKET = "/var/run/docker.sock"
TIMEOUT_S = 30.0
API = (1, 41)  # Engine 20.10


class DockerError(FedsimError):
    """The Engine refused a call, or did not answer."""

    exit = Exit.LAB


class RefusedError(DockerError):
    """The Engine has answered, with a refusal (4xx). Any other error says nothing about what the call names."""


class GoneError(RefusedError):
    """What the call names does not exist (404)."""


class _TooOldError(RefusedError):
    """The Engine no longer takes calls of this version of the API."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path
        self._channel: socket.socket | None = None

    def wait_for_ever(self) -> None:
        """Lift the time limit of the connection, whose answer has begun."""
        assert self._channel is not None
        self._channel.settimeout(None)

    def connect(self) -> None:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        channel.settimeout(self.timeout)
        try:
            channel.connect(self._path)
        except OSError:
            channel.close()
            raise
        self.sock = self._channel = channel


class Docker:
    """One Docker Engine."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path
        self._version: str | None = None  # of the API, once the Engine has been asked

    def is_there(self, within_s: float) -> bool:
        """Whether the Engine answers at all, in so many seconds."""
        try:
            self._ask("GET", "", "/_ping", within_s)
        except DockerError:
            return False
        return True

    def containers(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """All containers with these labels, running or not."""
        filters = json.dumps({"label": [f"{key}={value}" for key, value in labels.items()]})
        found: list[dict[str, Any]] = json.loads(self._call("GET", "/containers/json", all="1", filters=filters))
        return found

    def inspect(self, container: str) -> dict[str, Any]:
        """Everything about one container.

        Raises:
            GoneError: there is no such container.
            DockerError: the Engine does not answer, so the container's state is unknown.
        """
        found: dict[str, Any] = json.loads(self._call("GET", f"/containers/{quote(container)}/json"))
        return found

    def kill(self, container: str, signal_name: str) -> None:
        """Send a signal to the container's first process."""
        self._call("POST", f"/containers/{quote(container)}/kill", signal=signal_name)

    def restart(self, container: str) -> None:
        """End the container's processes at once, if it runs, and start it."""
        self._call("POST", f"/containers/{quote(container)}/restart", t="0")

    def last_lines(self, container: str, count: int) -> list[str]:
        """The last lines of a container's output."""
        raw = self._call("GET", f"/containers/{quote(container)}/logs", stdout="1", stderr="1", tail=str(count))
        text = bytearray()
        while len(raw) >= 8:
            length = struct.unpack_from(">I", raw, 4)[0]
            text += raw[8 : 8 + length]
            raw = raw[8 + length :]
        return text.decode(errors="replace").splitlines()[-count:]

    def events(self, kinds: Mapping[str, list[str]], since: float) -> Iterator[dict[str, Any]]:
        """Yield events as they come, from ``since`` (Unix seconds) on, until the Engine ends.

        Raises:
            DockerError: the Engine cannot be reached.
        """
        connection = _Connection(self._path, TIMEOUT_S)
        try:
            query = urlencode({"filters": json.dumps(kinds), "since": f"{since:.6f}"})
            connection.request("GET", f"{self._prefix()}/events?{query}")
            response = connection.getresponse()
            if response.status != 200:
                self._version = None
                raise DockerError(f"events: {response.status} {response.read(500)!r}")
            connection.wait_for_ever()  # the next event may be hours away
            while line := response.readline():
                yield json.loads(line)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DockerError(f"events: {error}") from error
        finally:
            connection.close()

    def _call(self, method: str, path: str, **query: str) -> bytes:
        try:
            return self._ask(method, self._prefix(), path, **query)
        except _TooOldError:  # the Engine has been replaced by a newer one, which spared the containers
            self._version = None
            return self._ask(method, self._prefix(), path, **query)

    def _prefix(self) -> str:
        """The beginning of a path, which names the version of the API. The Engine is asked once."""
        if self._version is None:
            self._version = choose_version(json.loads(self._ask("GET", "", "/version")))
        return f"/v{self._version}"

    def _ask(self, method: str, prefix: str, path: str, within_s: float | None = None, /, **query: str) -> bytes:
        connection = _Connection(self._path, TIMEOUT_S if within_s is None else within_s)
        try:
            connection.request(method, f"{prefix}{path}?{urlencode(query)}" if query else f"{prefix}{path}")
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise DockerError(f"{method} {path}: {error}") from error
        finally:
            connection.close()
        if response.status == 400 and b"is too old" in body:
            raise _TooOldError(f"{method} {path}: {body[:500].decode(errors='replace').strip()}")
        if response.status >= 400:
            kind = GoneError if response.status == 404 else RefusedError if response.status < 500 else DockerError
            raise kind(f"{method} {path}: {response.status} {body[:500].decode(errors='replace').strip()}")
        return body


def choose_version(engine: Mapping[str, Any]) -> str:
    """The version of the API to speak with an Engine, from its answer to ``GET /version``."""
    least = re.fullmatch(r"(\d+)\.(\d+)", str(engine.get("MinAPIVersion") or ""))
    major, minor = max(API, (int(least[1]), int(least[2]))) if least is not None else API
    return f"{major}.{minor}"
