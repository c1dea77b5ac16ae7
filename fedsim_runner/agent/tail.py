"""Following a participant's files: whole lines only, new folders after a restart, one read when idle."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

_CHUNK = 1 << 18
# What a participant writes is bounded by nobody but the reader: more in one look is left for the next one.
LOOK_BYTES = 1 << 22
LONGEST_LINE = 1 << 20

LOG, ACTIVITY = "exp_print.log", "activity.jsonl"


class Tail:
    """One file of one participant under its output folder: ``course*/NAME``, the newest last."""

    def __init__(self, out: Path, name: str = LOG) -> None:
        self._out = out
        self._name = name
        self._files: dict[Path, int] = {}
        self._partial: dict[Path, bytes] = {}
        self._looking = False
        self._before = 0

    def look_again(self) -> None:
        """The participant has started anew: it may write to another folder."""
        self._looking, self._before = True, len(self._files)

    def lines(self, most: int = LOOK_BYTES) -> Iterator[str]:
        """Complete lines that have come since the last call, from at most ``most`` bytes of each file."""
        if self._looking or not self._files:
            self._look()
            # What an earlier start left behind is there already: keep looking for the new folder until it comes.
            self._looking = self._looking and len(self._files) == self._before
        for path, descriptor in self._files.items():
            taken = 0
            while taken < most and (data := os.read(descriptor, _CHUNK)):
                taken += len(data)
                *whole, rest = (self._partial[path] + data).split(b"\n")
                # A line without end is no line: its beginning is dropped, and its end will make no sense.
                self._partial[path] = rest if len(rest) <= LONGEST_LINE else b""
                for line in whole:
                    yield line.decode(errors="replace")

    def close(self) -> None:
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    def _look(self) -> None:
        try:
            folders = sorted(
                entry.path
                for entry in os.scandir(self._out)
                if entry.name.startswith("course") and entry.is_dir(follow_symlinks=False)
            )
        except OSError:
            return
        for folder in folders:
            # A participant writes here with its own rights: a link or a pipe in place of the file is not followed.
            path = Path(folder) / self._name
            for candidate in (path, *Path(folder).glob(f"sub_exp*/{self._name}")):
                if candidate in self._files:
                    continue
                try:
                    descriptor = os.open(candidate, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
                except OSError:
                    continue
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    os.close(descriptor)
                    continue
                self._files[candidate], self._partial[candidate] = descriptor, b""
