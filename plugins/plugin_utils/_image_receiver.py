"""Program on a lab host that receives images: hands the frames of ``_image_sender`` to the Engine.

Its text is sent to the lab host, where only Python's standard library is sure to be there. Nothing is written to files.
If the frames end early, the Engine is given no end of the archive, and drops what it has of it.
"""

from __future__ import annotations

import http.client
import json
import socket
import struct
import sys
import urllib.parse
from typing import IO, Any

FRAME = struct.Struct(">II")
#: What newer Engines that keep images in containerd say of one that cannot be used, instead of an error.
NOT_UNPACKED = "Error unpacking image"


def main(stream: IO[bytes]) -> None:
    """Load images; the request, a line of JSON, has ``docker_socket`` and the ``refs`` that must be there afterwards.

    The last line of output is JSON: ``error`` is why it failed, or null.
    """
    request = json.loads(stream.readline())
    try:
        error = receive(stream, request["docker_socket"], request["refs"])
    except OSError as failure:
        error = f"the Engine took no images: {failure}"
    print(json.dumps({"error": error}), flush=True)
    sys.exit(error is not None)


def receive(stream: IO[bytes], docker_socket: str, refs: list[str]) -> str | None:
    """Load an archive; return why that failed, or None."""
    connection = _connect(docker_socket)
    connection.putrequest("POST", "/images/load?quiet=1")
    connection.putheader("Content-Type", "application/x-tar")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    try:
        while part := _next_part(stream):
            connection.send(b"%x\r\n%b\r\n" % (len(part), part))
        connection.send(b"0\r\n\r\n")
    except EOFError:
        connection.close()
        return "the connection that the images came over was lost"
    except BrokenPipeError:
        pass  # the Engine has refused them, and says why
    answer = connection.getresponse()
    said = answer.read().decode(errors="replace")
    items = [_parse(line) for line in said.splitlines()]
    errors = [item["error"] for item in items if "error" in item]
    lines = [line for item in items for line in str(item.get("stream", "")).splitlines()]
    errors += [line for line in lines if line.startswith(NOT_UNPACKED)]
    if answer.status != 200 or errors:
        return f"the Engine did not load the images: {errors[0] if errors else said.strip()}"
    absent = [ref for ref in refs if not _is_present(docker_socket, ref)]
    return f"the archive does not hold {', '.join(absent)}" if absent else None


def _next_part(stream: IO[bytes]) -> bytes:
    """Return what the next frame holds; nothing at the end.

    Raises:
        EOFError: the frames end without their end.
    """
    frame = stream.read(FRAME.size)
    if len(frame) < FRAME.size:
        raise EOFError
    size = FRAME.unpack(frame)[1]
    part = stream.read(size)
    if len(part) < size:
        raise EOFError
    return part


def _connect(docker_socket: str) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("engine")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(docker_socket)
    return connection


def _parse(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_present(docker_socket: str, ref: str) -> bool:
    connection = _connect(docker_socket)
    connection.request("GET", f"/images/{urllib.parse.quote(ref, safe='/:')}/json")
    answer = connection.getresponse()
    answer.read()
    return answer.status == 200
