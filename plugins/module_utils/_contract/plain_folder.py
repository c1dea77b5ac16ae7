"""Folders that may come from somebody else, as run folders do: nothing in them may lead out of them, or block a reader.

fedsim-runner writes only folders and regular files. A link would have others' files read or overwritten, a pipe would
keep its reader waiting for ever.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from .errors import Exit, FedsimError


class NotPlainError(FedsimError):
    """A folder holds something else than folders and regular files; the text names it."""

    exit = Exit.SPEC


def require_plain(folder: Path) -> None:
    """Check that a folder holds only folders and regular files. It may itself be a link, as its user named it.

    Raises:
        NotPlainError: it holds something else, or cannot be read.
    """
    try:
        odd = _find_odd(folder)
    except OSError as error:
        raise NotPlainError(f"{error.filename or folder}: {error.strerror}") from error
    if odd is not None:
        path, kind = odd
        raise NotPlainError(
            f"{path} is a {kind}, and fedsim-runner writes only files and folders into a run folder",
            hint="remove it if you trust the rest",
        )


def _find_odd(folder: Path) -> tuple[str, str] | None:
    """The first thing that is neither a folder nor a regular file, and what it is."""
    folders = [os.fspath(folder)]
    while folders:
        try:
            entries = os.scandir(folders.pop())
        except OSError as error:
            if error.errno == errno.EACCES:
                continue  # nothing in it can be read or written through it, either
            raise
        with entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif not entry.is_file(follow_symlinks=False):
                    return entry.path, "link" if entry.is_symlink() else "special file"
    return None


def read_plain(path: Path, size: int = -1) -> bytes:
    """Return the content of a regular file, or its beginning, without following a link or waiting for a pipe's writer.

    Raises:
        OSError: it is missing, or something else.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return stream.read(size)
