"""Following a participant's files: whole lines only, new folders after a restart, one read call when idle."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from fedsim_runner.contract.participant_events import LOG, LOG_FOLDER

_CHUNK = 1 << 18
# The first read of a file, which mostly finds nothing: a buffer of this size costs the allocator no system call.
_FIRST_CHUNK = 1 << 13
# Only the reader bounds what a participant writes: what exceeds this in one read is left for the next one.
READ_BYTES = 1 << 22
LONGEST_LINE = 1 << 20
# A participant's lines are longer than this on average: it bounds the number of lines of one read, too.
_BYTES_PER_LINE = 32
_MOST_FILES = 64  # of one participant; a course has one, and one for each sub-experiment
_MOST_ENTRIES = 2000  # of a folder that are looked at: a participant may make as many as it likes

_ABSENT, _NEVER = -1, -2  # in place of a time
_GRAIN_NS = 100_000_000

ACTIVITY = "activity.jsonl"


class Tail:
    """One file of one participant below its output folder: ``course*/NAME``, the newest last.

    Without ``in_course``: ``NAME`` in the output folder itself.
    """

    def __init__(self, out: Path, name: str = LOG, in_course: bool = True) -> None:
        self._out = out
        self._name = name
        self._in_course = in_course
        self._files: dict[Path, int] = {}
        self._partial: dict[Path, bytes] = {}
        self._scanning = False
        self._before = 0
        self._looked: dict[Path, int] = {}  # folders, and when they had changed as of the last look

    def rescan(self) -> None:
        """Look for new folders: a restarted participant may write to another one."""
        self._scanning, self._before = True, len(self._files)

    def lines(self, most: int = READ_BYTES) -> Iterable[str]:
        """The complete, non-empty lines since the last call, from about ``most`` bytes of each file."""
        if (self._scanning or not self._files) and self._may_find_more():
            self._open_new()
            # An earlier start left its folders: keep looking until the new one appears.
            self._scanning = self._scanning and len(self._files) == self._before
        # A loop without generators: it runs twice a second for each file of hundreds of participants.
        grown = [
            (path, data) for path, descriptor in self._files.items() if (data := os.read(descriptor, _FIRST_CHUNK))
        ]
        return self._split(grown, most) if grown else ()

    def _split(self, grown: list[tuple[Path, bytes]], most: int) -> Iterator[str]:
        for path, first in grown:
            taken, data = 0, first
            while data:
                *whole, rest = (self._partial[path] + data).split(b"\n")
                # The beginning of an endless line is dropped; the rest of it will not parse.
                self._partial[path] = rest if len(rest) <= LONGEST_LINE else b""
                taken += max(len(data), len(whole) * _BYTES_PER_LINE)
                for line in filter(None, whole):
                    yield line.decode(errors="replace")
                if taken >= most or (data is first and len(first) < _FIRST_CHUNK):
                    break
                data = os.read(self._files[path], _CHUNK)

    def close(self) -> None:
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    def _may_find_more(self) -> bool:
        """Whether a folder has a new entry since the last look: one call, while a participant has written nothing."""
        return not self._looked or any(_changed_ns(folder) != moment for folder, moment in self._looked.items())

    def _open_new(self) -> None:
        self._looked = {}
        for candidate in self._candidates():
            if candidate in self._files:
                continue
            if len(self._files) >= _MOST_FILES:
                return
            try:
                descriptor = _open_plain(self._out, candidate)
            except OSError:
                continue
            self._files[candidate], self._partial[candidate] = descriptor, b""

    def _candidates(self) -> Iterator[Path]:
        if not self._in_course:
            self._look_into(self._out)
            yield self._out / self._name
            return
        for course in self._folders(self._out, LOG_FOLDER):
            inside = self._folders(course, "sub_exp")
            yield course / self._name
            for folder in inside:
                self._look_into(folder)
                yield folder / self._name

    def _folders(self, folder: Path, prefix: str) -> list[Path]:
        self._look_into(folder)
        try:
            with os.scandir(folder) as entries:
                return sorted(
                    Path(entry.path)
                    for entry in islice(entries, _MOST_ENTRIES)
                    if entry.name.startswith(prefix) and entry.is_dir(follow_symlinks=False)
                )[:_MOST_FILES]
        except OSError:
            return []

    def _look_into(self, folder: Path) -> None:
        """Note when the folder has changed, before its entries are read."""
        moment = _changed_ns(folder)
        # Another entry may follow at the same moment of a clock that ticks every few milliseconds.
        self._looked[folder] = _NEVER if time.time_ns() - moment < _GRAIN_NS else moment


def _changed_ns(folder: Path) -> int:
    try:
        return os.lstat(folder).st_mtime_ns
    except OSError:
        return _ABSENT


def _open_plain(base: Path, path: Path) -> int:
    """Open a regular file below ``base``; links on the way and anything but a regular file are refused.

    A participant writes there with its own rights, and may put a link or a pipe there at any time.

    Raises:
        OSError: it does not exist, or is not a regular file.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    *folders, name = path.relative_to(base).parts
    folder = os.open(base, flags | os.O_DIRECTORY)
    try:
        for inner in folders:
            outer, folder = folder, os.open(inner, flags | os.O_DIRECTORY, dir_fd=folder)
            os.close(outer)
        descriptor = os.open(name, flags | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return descriptor
