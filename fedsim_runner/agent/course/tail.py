"""Following a participant's files: whole lines only, new folders after a restart, one read call when idle."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from fedsim_runner.contract.participant_events import LOG, LOG_FOLDER

_CHUNK = 1 << 18
# Only the reader bounds what a participant writes: what exceeds this in one read is left for the next one.
READ_BYTES = 1 << 22
LONGEST_LINE = 1 << 20
# A participant's lines are longer than this on average: it bounds the number of lines of one read, too.
_BYTES_PER_LINE = 32
_MOST_FILES = 64  # of one participant; a course has one, and one for each sub-experiment

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

    def rescan(self) -> None:
        """Look for new folders: a restarted participant may write to another one."""
        self._scanning, self._before = True, len(self._files)

    def lines(self, most: int = READ_BYTES) -> Iterator[str]:
        """Yield the complete, non-empty lines since the last call, from about ``most`` bytes of each file."""
        if self._scanning or not self._files:
            self._open_new()
            # An earlier start left its folders: keep looking until the new one appears.
            self._scanning = self._scanning and len(self._files) == self._before
        for path, descriptor in self._files.items():
            taken = 0
            while taken < most and (data := os.read(descriptor, _CHUNK)):
                *whole, rest = (self._partial[path] + data).split(b"\n")
                # The beginning of an endless line is dropped; the rest of it will not parse.
                self._partial[path] = rest if len(rest) <= LONGEST_LINE else b""
                taken += max(len(data), len(whole) * _BYTES_PER_LINE)
                for line in filter(None, whole):
                    yield line.decode(errors="replace")

    def close(self) -> None:
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    def _open_new(self) -> None:
        for folder in self._folders():
            for candidate in self._candidates(folder):
                if candidate in self._files:
                    continue
                if len(self._files) >= _MOST_FILES:
                    return
                try:
                    descriptor = _open_plain(self._out, candidate)
                except OSError:
                    continue
                self._files[candidate], self._partial[candidate] = descriptor, b""

    def _folders(self) -> list[Path]:
        if not self._in_course:
            return [self._out]
        try:
            return sorted(
                Path(entry.path)
                for entry in os.scandir(self._out)
                if entry.name.startswith(LOG_FOLDER) and entry.is_dir(follow_symlinks=False)
            )
        except OSError:
            return []

    def _candidates(self, folder: Path) -> list[Path]:
        if not self._in_course:
            return [folder / self._name]
        try:
            inside = sorted(entry.path for entry in os.scandir(folder) if entry.name.startswith("sub_exp"))
        except OSError:
            inside = []
        return [folder / self._name, *(Path(path) / self._name for path in inside)]


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
