"""Appending to a file on a disk that may be full: whole pieces or nothing, and errors that name the file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)


class CannotWriteError(Exception):
    """A file of the agent cannot be written; the text is for people and names it."""


def explain(error: OSError, path: Path) -> str:
    """What went wrong with ``path``."""
    if error.errno in _FULL:
        return f"no space left on {path}"
    return f"{path} cannot be written: {error.strerror or error}"


class AppendFile:
    """A file that only grows. A piece that does not fit leaves no half of itself behind."""

    def __init__(self, path: Path) -> None:
        """Open or make it.

        Raises:
            CannotWriteError: it cannot be made.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise CannotWriteError(explain(error, path)) from error

    def append(self, data: bytes) -> None:
        """Write all of ``data``.

        Raises:
            CannotWriteError: nothing of it was written.
        """
        size = os.fstat(self._file).st_size
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            os.ftruncate(self._file, size)
            raise CannotWriteError(explain(error, self._path)) from error

    def close(self) -> None:
        os.close(self._file)


def replace(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a small file in one step: who reads it sees the old or the new one.

    Raises:
        CannotWriteError: the old one is still there.
    """
    fresh = path.with_name(path.name + ".new")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(mode)
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise CannotWriteError(explain(error, path)) from error
