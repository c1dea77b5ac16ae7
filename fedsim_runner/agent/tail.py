"""Following the participants' log files: whole lines only, new folders after a restart, one read when idle."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_CHUNK = 1 << 18


class Tail:
    """The log of one participant under its output folder: ``course*/exp_print.log``, the newest last."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._files: dict[Path, int] = {}
        self._partial: dict[Path, bytes] = {}
        self._looking = False
        self._before = 0

    def look_again(self) -> None:
        """The participant has started anew: it may write to another folder."""
        self._looking, self._before = True, len(self._files)

    def lines(self) -> Iterator[str]:
        """Complete lines that have come since the last call."""
        if self._looking or not self._files:
            self._look()
            # What an earlier start left behind is there already: keep looking for the new folder until it comes.
            self._looking = self._looking and len(self._files) == self._before
        for path, descriptor in self._files.items():
            while data := os.read(descriptor, _CHUNK):
                *whole, self._partial[path] = (self._partial[path] + data).split(b"\n")
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
            # A participant writes here with its own rights: a link or a pipe in place of the log is not followed.
            path = Path(folder) / "exp_print.log"
            for candidate in (path, *Path(folder).glob("sub_exp*/exp_print.log")):
                if candidate in self._files:
                    continue
                try:
                    descriptor = os.open(candidate, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
                except OSError:
                    continue
                self._files[candidate], self._partial[candidate] = descriptor, b""
