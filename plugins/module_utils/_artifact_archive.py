"""The artifacts of a run as a tar file. What a device wrote has any name, size and shape: none of it costs the rest."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.participant_events import EVENTS, LOG_FOLDER
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import EXIT_RECORD, MODEL
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.units import size

SCRATCH: Final = "tmp"
CONSOLE: Final = "console.log"
#: Packed first, so that nothing else a device wrote can take their place.
FIRST: Final = (EXIT_RECORD, EVENTS, LOG_FOLDER, MODEL)
MAX_DEPTH: Final = 20
#: Of a path inside a device's folder. A run folder may be deep, and some file systems have shorter names than others.
MAX_PATH_BYTES: Final = 1024
MAX_FILES: Final = 10_000
#: Bytes of all holes of a device's files: they take no disk there, but they do in a tar file and in a run folder.
MAX_HOLE_BYTES: Final = 16 << 20
#: Parts of a file with holes that are looked at.
MOST_PARTS: Final = 1000
#: Files of a device that are named as left out; of the others, only the number is given.
MAX_NAMED: Final = 20
LONGEST_NAMED: Final = 200

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Never wait for a FIFO's writer, never follow a link.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass
class _Rest:
    """What may still be packed of one device."""

    prefix: str
    size: int
    files: int
    holes: int
    seen: set[tuple[int, int]] = field(default_factory=set)  # files that have several names
    named: int = 0
    unnamed: int = 0


class ArtifactArchive:
    """Adds to a tar file whose bytes depend only on the content.

    Args:
        archive: the tar file.
        max_file_bytes: larger files are left out.

    Attributes:
        left_out: what was not packed, each with its reason.
    """

    def __init__(self, archive: tarfile.TarFile, max_file_bytes: int) -> None:
        self._archive = archive
        self._max = max_file_bytes
        self.left_out: list[str] = []

    def add(self, name: str, content: bytes) -> None:
        """Add a file with this content."""
        self._archive.addfile(_member(name, len(content), 0), io.BytesIO(content))

    def add_path(self, path: Path, name: str) -> None:
        """Add a file of ours, if it is there."""
        with contextlib.suppress(FileNotFoundError), path.open("rb") as stream:
            self._copy(stream, name)

    def add_folder(self, folder: Path, prefix: str, most: int) -> None:
        """Add the regular files of a folder that a device can write to; no link out of it is followed.

        Args:
            folder: the device's out folder.
            prefix: what it is called in the tar file.
            most: bytes of all its files together.
        """
        rest = _Rest(prefix, most, MAX_FILES, MAX_HOLE_BYTES)
        try:
            descriptor = os.open(folder, _FOLDER)
        except OSError as error:
            self._leave_out(rest, "", str(error.strerror))
            return
        try:
            self._walk(rest, descriptor, "")
        finally:
            os.close(descriptor)
        if rest.unnamed:
            self.left_out.append(f"{prefix}: {rest.unnamed} more files")

    def _walk(self, rest: _Rest, descriptor: int, inside: str) -> None:
        try:
            entries = _entries(descriptor, inside)
        except OSError as error:
            self._leave_out(rest, inside, str(error.strerror))
            return
        for name, is_folder in entries:
            path = f"{inside}/{name}" if inside else name
            # A folder, file or link of this name would collide with the console's log.
            if path == CONSOLE:
                self._leave_out(rest, path, "the console's log has this name")
            elif (problem := _problem(path)) is not None:
                self._leave_out(rest, path, problem)
            elif not is_folder:
                self._add_file(rest, descriptor, name, path)
            elif path.count("/") >= MAX_DEPTH:
                self._leave_out(rest, path, f"more than {MAX_DEPTH} folders deep")
            elif path != SCRATCH:
                self._add_inner(rest, descriptor, name, path)

    def _add_inner(self, rest: _Rest, descriptor: int, name: str, path: str) -> None:
        try:
            inner = os.open(name, _FOLDER, dir_fd=descriptor)
        except OSError as error:
            self._leave_out(rest, path, str(error.strerror))
            return
        try:
            self._walk(rest, inner, path)
        finally:
            os.close(inner)

    def _add_file(self, rest: _Rest, descriptor: int, name: str, path: str) -> None:
        try:
            opened = os.open(name, _FILE, dir_fd=descriptor)
        except OSError as error:
            self._leave_out(rest, path, str(error.strerror))
            return
        with os.fdopen(opened, "rb") as stream:
            try:
                problem = self._refusal(rest, stream)
            except OSError as error:
                problem = str(error.strerror)
            if problem is not None:
                self._leave_out(rest, path, problem)
            else:
                rest.files -= 1
                rest.size -= self._copy(stream, f"{rest.prefix}/{path}")

    def _refusal(self, rest: _Rest, stream: IO[bytes]) -> str | None:
        """Why a file is not packed; None: it is."""
        found = os.fstat(stream.fileno())
        if not stat.S_ISREG(found.st_mode):
            return "not a regular file"
        if found.st_size > self._max:
            return f"{found.st_size} bytes are more than {self._max}"
        if found.st_nlink > 1 and (found.st_dev, found.st_ino) in rest.seen:
            return "another name of a file that is packed"
        if not rest.files:
            return f"one of more than {MAX_FILES} files"
        if found.st_size > rest.size:
            return "all its files together are larger than its disk_mb"
        holes = _count_holes(stream, found)
        if holes > rest.holes:
            return f"{size(holes)} of it are holes"
        rest.holes -= holes
        if found.st_nlink > 1:
            rest.seen.add((found.st_dev, found.st_ino))
        return None

    def _copy(self, stream: IO[bytes], name: str) -> int:
        """Add an open file as it is now, which its owner may cut or lengthen meanwhile; return its size."""
        found = os.fstat(stream.fileno())
        member = _member(name, found.st_size, int(found.st_mtime))
        self._archive.addfile(member, _Exactly(stream))
        return member.size

    def _leave_out(self, rest: _Rest, path: str, reason: str) -> None:
        if rest.named >= MAX_NAMED:
            rest.unnamed += 1
            return
        rest.named += 1
        # A device can give its files any names, also ones that cannot be printed.
        shown = "".join(letter if letter.isprintable() else "?" for letter in path[:LONGEST_NAMED])
        shown += "..." if len(path) > LONGEST_NAMED else ""
        self.left_out.append(f"{rest.prefix}/{shown}: {reason}")


class _Exactly(io.RawIOBase):
    """A file that yields as many bytes as it is asked for: zeros from where it has been cut meanwhile."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, count: int = -1) -> bytes:
        try:
            found = self._stream.read(count)
        except OSError:  # a broken disk, or another process's file that has vanished from a network's
            found = b""
        return found.ljust(count, b"\0")


def have_same_content(one: IO[bytes], other: IO[bytes]) -> bool:
    """Compare two files from where they are."""
    while True:
        block = one.read(1 << 20)
        if block != other.read(1 << 20):
            return False
        if not block:
            return True


def _member(name: str, length: int, mtime: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = length, 0o644, max(0, mtime)
    return member


def _entries(descriptor: int, inside: str) -> list[tuple[str, bool]]:
    """The names in a folder, those that matter most first, and which of them are folders."""
    with os.scandir(descriptor) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    return sorted(found, key=lambda entry: (bool(inside) or entry[0] not in FIRST, entry[1], entry[0]))


def _problem(path: str) -> str | None:
    """Why a file of this name is not packed; None: it may be."""
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        return f"the path is longer than {MAX_PATH_BYTES} bytes"
    if any(0xDC80 <= ord(letter) <= 0xDCFF for letter in path):
        return "the name is not UTF-8"
    return None if path.isprintable() else "the name has characters that cannot be printed"


def _count_holes(stream: IO[bytes], found: os.stat_result) -> int:
    """Bytes of a file that take no disk, or come after so many parts that they are not looked at."""
    if found.st_blocks * 512 >= found.st_size:
        return 0
    # Where the disk compresses, a file has fewer blocks than bytes, but no holes.
    place = data = 0
    for _ in range(MOST_PARTS):
        try:
            begin = os.lseek(stream.fileno(), place, os.SEEK_DATA)
            place = os.lseek(stream.fileno(), begin, os.SEEK_HOLE)
        except OSError:  # no data follows
            break
        data += place - begin
    os.lseek(stream.fileno(), 0, os.SEEK_SET)
    return max(0, found.st_size - data)
