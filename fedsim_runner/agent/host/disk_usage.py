"""How much of the lab host's disk a device uses: blocks that are really taken, in files that it made as it liked.

A sparse file counts as the blocks that it has, a file with several names once, and a file without a name as long as a
process has it open or mapped. Each name counts as one block at least, since names take space as well.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from fedsim_runner.contract.errors import Exit, FedsimError

#: Where the lab host's files are for the agent, which is in the host's process namespace.
HOST_ROOT = Path("/proc/1/root")
_BLOCK = 512  # the unit of st_blocks
_LEAST = 4096  # what a name counts at least
#: Folders in folders; nobody needs more, and what is below them could not be counted.
DEEPEST = 500
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class TooDeepError(FedsimError):
    """There are folders below :data:`DEEPEST` others."""

    exit = Exit.COURSE


class _Tally:
    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0
        self._several: set[tuple[int, int]] = set()  # files with several names

    def add(self, found: os.stat_result) -> None:
        taken = found.st_blocks * _BLOCK
        if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
            identity = found.st_dev, found.st_ino
            taken = 0 if identity in self._several else taken
            self._several.add(identity)
        self.used += max(taken, _LEAST)


def measure_folder(folder: Path, most: int) -> int:
    """Return the bytes of disk that everything in ``folder`` takes; counting ends above ``most``.

    No link in it is followed. What vanishes meanwhile does not count.

    Raises:
        TooDeepError: it cannot be counted.
        OSError: there is no such folder.
    """
    tally = _Tally(most)
    descriptor = os.open(folder, _FOLDER)
    try:
        _add_all(descriptor, tally, 1)
    finally:
        os.close(descriptor)
    return tally.used


def _add_all(descriptor: int, tally: _Tally, depth: int) -> None:
    folders = []
    with os.scandir(descriptor) as entries:
        for entry in entries:
            try:
                found = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            tally.add(found)
            if tally.used > tally.most:
                return
            if stat.S_ISDIR(found.st_mode):
                folders.append(entry.name)
    for name in folders:
        if depth == DEEPEST:
            raise TooDeepError(f"folders more than {DEEPEST} deep")
        try:
            inner = os.open(name, _FOLDER, dir_fd=descriptor)
        except OSError as error:
            if error.errno == errno.EMFILE:  # the limit is low, and many devices run
                raise TooDeepError(f"folders {depth} deep") from error
            continue
        try:
            _add_all(inner, tally, depth + 1)
        finally:
            os.close(inner)


def measure_file(path: Path) -> int:
    """Return the bytes of disk that a file takes; 0 if it cannot be seen from here."""
    try:
        return path.lstat().st_blocks * _BLOCK
    except OSError:
        return 0


def measure_nameless(processes: Iterable[int], folder: Path) -> int:
    """Return the bytes of disk of files that have no name any more and that these processes hold.

    Only files on the disk of ``folder`` count.
    """
    found: dict[int, int] = {}
    try:
        disk = folder.stat().st_dev
    except OSError:
        return 0
    for pid in processes:
        for path in _held(pid):
            try:
                held = path.stat()  # through the kernel's link, which leads to the file itself
            except OSError:
                continue
            if held.st_nlink == 0 and held.st_dev == disk and stat.S_ISREG(held.st_mode):
                found[held.st_ino] = held.st_blocks * _BLOCK
    return sum(found.values())


def _held(pid: int) -> Iterable[Path]:
    """The kernel's links to the files that a process has open, and to those without a name that it has mapped."""
    process = Path(f"/proc/{pid}")
    with contextlib.suppress(OSError):
        yield from (process / "fd").iterdir()
    with contextlib.suppress(OSError, ValueError):
        for line in (process / "maps").read_bytes().splitlines():
            if line.endswith(b"(deleted)"):
                begin, _, end = line.split(b" ", 1)[0].partition(b"-")
                yield process / "map_files" / f"{int(begin, 16):x}-{int(end, 16):x}"


def used_of_disk(folder: Path) -> int:
    """Return the bytes in use on the whole disk of ``folder``; 0 if it is gone."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return (found.f_blocks - found.f_bfree) * found.f_frsize
