"""Writing files that others may be reading, on a disk that may be full: completely or not at all."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .errors import Exit, FedsimError

#: The errors for lack of space: the disk is full, or the user's quota is used up.
FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_DRAFT_NAME_BYTES = 100


class CannotWriteError(FedsimError):
    """A file cannot be written; the text names it."""

    exit = Exit.COURSE


def explain(error: OSError, path: Path) -> str:
    """Return a message for people about what went wrong with ``path``."""
    if error.errno in FULL:
        return f"no space left on {path}"
    if error.errno == errno.ENOENT and not path.parent.exists():
        return f"{path} cannot be written: there is no folder {path.parent} (any more)"
    return f"{path} cannot be written: {error.strerror or error}"


class AppendFile:
    """A file that only grows. A piece that does not fit leaves no part of itself behind."""

    def __init__(self, path: Path) -> None:
        """Open or create the file.

        Raises:
            CannotWriteError: it cannot be created.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Neither through a link that somebody put there, nor into a pipe, which would wait for a reader.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            self._file = os.open(path, flags, 0o644)
        except OSError as error:
            raise CannotWriteError(explain(error, path)) from error
        self._least = os.fstat(self._file).st_size  # with what was appended since

    def append(self, data: bytes) -> int:
        """Write all of ``data``; return the size of the file after that.

        Raises:
            CannotWriteError: none of it was written.
        """
        size = os.fstat(self._file).st_size
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            os.ftruncate(self._file, size)
            raise CannotWriteError(explain(error, self._path)) from error
        self._least += len(data)
        return size + len(data)

    def damage(self) -> str | None:
        """Return what somebody else has done to the file, so that readers miss what was appended; None if nothing."""
        own = os.fstat(self._file)
        if own.st_size < self._least:
            return f"{self._path} has been truncated"
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return f"{self._path} has been deleted"
        except OSError as error:
            return f"{self._path} cannot be read: {error.strerror or error}"
        replaced = (there.st_dev, there.st_ino) != (own.st_dev, own.st_ino)
        return f"{self._path} has been replaced by another file" if replaced else None

    def close(self) -> None:
        """Close the file: nothing more is appended."""
        os.close(self._file)


@contextmanager
def replacing(path: Path, mode: int | None = None) -> Iterator[Path]:
    """Yield a path next to ``path`` to write to; if the block succeeds, that file replaces ``path`` in one step.

    Several processes and threads may replace the same file concurrently. If the block fails, nothing is left behind;
    if the block removes what it wrote, the old file stays.

    Args:
        path: the file to replace; its folder exists.
        mode: permissions of the file; None: the default of the process.

    Raises:
        OSError: the file cannot be replaced; the old one is still there.
    """
    # The name of the file may be as long as names can be.
    begin = path.name.encode(errors="replace")[:_DRAFT_NAME_BYTES].decode(errors="ignore")
    draft = path.with_name(f".{begin}.{os.getpid()}-{threading.get_native_id()}.new")
    try:
        yield draft
        if draft.exists():
            if mode is not None:
                draft.chmod(mode)
            draft.replace(path)
    except OSError as error:
        if error.filename != str(draft):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error  # nobody has heard of the draft
    finally:
        draft.unlink(missing_ok=True)


def write(path: Path, content: str | bytes, mode: int | None = None) -> None:
    """Write a small file in one step: a reader sees either the old or the new one.

    Raises:
        OSError: the old one is still there.
    """
    with replacing(path, mode) as draft:
        draft.write_bytes(content.encode("utf-8", "replace") if isinstance(content, str) else content)


def replace(path: Path, text: str, mode: int = 0o644) -> None:
    """Like :func:`write`, with an error message for people.

    Raises:
        CannotWriteError: the old one is still there.
    """
    try:
        write(path, text, mode)
    except OSError as error:
        raise CannotWriteError(explain(error, path)) from error


def write_or_overwrite(path: Path, text: str, mode: int | None = None) -> None:
    """Like :func:`write`, but on a full disk overwrite the existing file, whose one block is enough for a short text.

    Raises:
        OSError: there is no space and no old file.
    """
    try:
        write(path, text, mode)
    except OSError:
        if not path.exists():
            raise
        with path.open("r+", encoding="utf-8") as stream:
            stream.write(text)
            stream.truncate()
