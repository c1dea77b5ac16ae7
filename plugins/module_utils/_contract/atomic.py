"""Writing files that others read meanwhile, on a disk that may be full: whole or not at all."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .errors import Exit, FedsimError

#: What the system says where there is no space: the disk is full, or the user's share of it.
FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class CannotWriteError(FedsimError):
    """A file cannot be written; the text names it."""

    exit = Exit.COURSE


def explain(error: OSError, path: Path) -> str:
    """What went wrong with ``path``."""
    if error.errno in FULL:
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
        """Nothing is appended any more."""
        os.close(self._file)


@contextmanager
def replacing(path: Path, mode: int | None = None) -> Iterator[Path]:
    """A path beside ``path`` to write to; if the block ends well, it takes the place of ``path`` in one step.

    Several processes and threads may replace the same file at once. Where the block fails nothing is left beside it,
    and where the block removes what it wrote the old file stays.

    Args:
        path: what is replaced; its folder exists.
        mode: permissions of the file; None: as the process makes files.

    Raises:
        OSError: it cannot be put in its place; the old file is still there.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_native_id()}.new")
    try:
        yield draft
        if draft.exists():
            if mode is not None:
                draft.chmod(mode)
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write(path: Path, content: str | bytes, mode: int | None = None) -> None:
    """Write a small file in one step: who reads it sees the old or the new one.

    Raises:
        OSError: the old one is still there.
    """
    with replacing(path, mode) as draft:
        draft.write_bytes(content.encode("utf-8", "replace") if isinstance(content, str) else content)


def replace(path: Path, text: str, mode: int = 0o644) -> None:
    """Like :func:`write`, with an error that is for people.

    Raises:
        CannotWriteError: the old one is still there.
    """
    try:
        write(path, text, mode)
    except OSError as error:
        raise CannotWriteError(explain(error, path)) from error


def write_or_overwrite(path: Path, text: str) -> None:
    """Like :func:`write`; on a full disk into the block that the file has already, which is enough for a short text.

    Raises:
        OSError: there is neither space nor an old file.
    """
    try:
        write(path, text)
    except OSError:
        with path.open("r+", encoding="utf-8") as stream:
            stream.write(text)
            stream.truncate()
