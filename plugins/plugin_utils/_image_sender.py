"""Program on the lab host that sends images: their archive without layers that all receivers have, in frames.

Its text is sent to the lab host, where only Python's standard library is sure to be there. A frame is two numbers of
four bytes (the length of a piece of the archive, and of what follows) and the piece as a gzip member of its own; two
zeros end the archive. A sequence of gzip members is a gzip file, so an Engine can load it as it is.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import os
import socket
import struct
import sys
import tarfile
import threading
import urllib.parse
from collections.abc import Iterator, Mapping, Set
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Queue
from typing import IO, Any

FRAME = struct.Struct(">II")
PIECE = 1 << 20
#: Pieces between the Engine and the network; so many finished ones mean that the network is slower than this program.
WAITING = 16
BEHIND = 3
BLOCK = 512
#: Members of an archive that an Engine up to version 24 writes: the layer, and before it what its name is made from.
LAYER, DESCRIPTION = "/layer.tar", "/json"
#: Where newer ones put layers, under the hash of what the file holds: of the layer itself, or of it compressed.
BLOBS = "blobs/sha256/"


def main(stream: IO[bytes]) -> None:
    """Send the images that the request, a line of JSON, names: ``docker_socket``, ``refs``, and what all receivers
    have: ``chains`` (the id of each with the diff id of its last layer) and ``blobs`` (digests)."""
    request = json.loads(stream.readline())
    sys.stdout.buffer.write(b"fedsim-archive\n")
    archive = open_archive(request["docker_socket"], request["refs"])
    send(leave_out(archive, request["chains"], frozenset(request["blobs"])), sys.stdout.buffer)


def open_archive(docker_socket: str, refs: list[str]) -> IO[bytes]:
    """Ask the Engine for an archive of the images."""
    connection = http.client.HTTPConnection("engine")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(docker_socket)
    connection.request("GET", "/images/get?" + urllib.parse.urlencode({"names": refs}, doseq=True))
    answer = connection.getresponse()
    if answer.status != 200:
        raise SystemExit("the Engine does not give its images: " + answer.read().decode(errors="replace").strip())
    return answer


def send(parts: Iterator[bytes], out: IO[bytes]) -> None:
    """Write an archive in frames. Pieces are compressed only while the network is slower than that."""
    queue: Queue[Any] = Queue(WAITING)
    threading.Thread(target=_pack_pieces, args=(parts, queue), daemon=True).start()
    while (item := queue.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        length, packed = item[0], item[1].result()
        out.write(FRAME.pack(length, len(packed)) + packed)
    out.write(FRAME.pack(0, 0))
    out.flush()


def _pack_pieces(parts: Iterator[bytes], queue: Queue[Any]) -> None:
    try:
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            for piece in _even_pieces(parts):
                done = sum(waiting[1].done() for waiting in list(queue.queue))
                packed: Future[bytes] = pool.submit(gzip.compress, piece, 1 if done >= BEHIND else 0)
                queue.put((len(piece), packed))
        queue.put(None)
    except BaseException as error:  # whatever it is, the thread that writes has to end with it
        queue.put(error)


def _even_pieces(parts: Iterator[bytes]) -> Iterator[bytes]:
    gathered = bytearray()
    for part in parts:
        gathered += part
        if len(gathered) >= PIECE:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


def leave_out(archive: IO[bytes], known: Mapping[str, str], blobs: Set[str] = frozenset()) -> Iterator[bytes]:
    """Yield an archive of images without the layers whose chain is known, and without these blobs."""
    held = b""  # an extended header: it goes with the member that follows it
    unwanted = ""
    while any(header := _read(archive, BLOCK)):
        member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        padded = -(-member.size // BLOCK) * BLOCK
        if member.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
            held += header + _read(archive, padded)
        elif member.type == tarfile.REGTYPE and (member.name == unwanted or _is_among(member.name, blobs)):
            held = b""
            while padded:
                padded -= len(_read(archive, min(padded, PIECE)))
        elif member.name.endswith(DESCRIPTION) and member.size < PIECE:
            content = _read(archive, padded)
            if find_chain(member.name.removesuffix(DESCRIPTION), content[: member.size], known):
                unwanted = member.name.removesuffix(DESCRIPTION) + LAYER
            yield held + header + content
            held = b""
        else:
            yield held + header
            held = b""
            while padded:
                part = _read(archive, min(padded, PIECE))
                padded -= len(part)
                yield part
    yield held + header
    while part := archive.read(PIECE):
        yield part


def find_chain(name: str, description: bytes, known: Mapping[str, str]) -> str | None:
    """Return the known chain id of which an Engine up to version 24 made a layer's name in an archive.

    The name is a hash of the description, with sorted keys, and the chain id (moby 20.10, ``image/v1/imagev1.go``), so
    one that fits is proof. Keys that were added after the name was made are tried, too.
    """
    try:
        values = json.loads(description)
    except ValueError:
        return None
    values.pop("id", None)
    if "parent" in values:
        values["parent"] = "sha256:" + values["parent"]
    for added in ((), ("os",)):
        for chain in known:
            hashed = {**{key: value for key, value in values.items() if key not in added}, "layer_id": chain}
            text = json.dumps(dict(sorted(hashed.items())), ensure_ascii=False, separators=(",", ":"))
            for char in "&<>":
                text = text.replace(char, f"\\u{ord(char):04x}")  # as Go writes them
            if hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest() == name:
                return chain
    return None


def _is_among(name: str, blobs: Set[str]) -> bool:
    return name.startswith(BLOBS) and "sha256:" + name.removeprefix(BLOBS) in blobs


def _read(archive: IO[bytes], size: int) -> bytes:
    """Read so many bytes.

    Raises:
        EOFError: there are not so many.
    """
    parts = []
    while size:
        part = archive.read(size)
        if not part:
            raise EOFError("the Engine's archive of images is not complete")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
