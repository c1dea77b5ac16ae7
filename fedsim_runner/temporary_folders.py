"""Temporary folders that go with the process that made them: if it is killed, the next one removes them.

Each is locked while its process lives, and the kernel releases the lock however that ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Begins the names of all of them; nothing else may have such a name.
PREFIX = "fedsim-tmp-"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield an empty folder that only this user can enter, and remove it afterwards.

    Raises:
        OSError: it cannot be made.
    """
    remove_abandoned()
    path, lock = _make()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def remove_abandoned() -> None:
    """Remove this user's folders whose processes are gone."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            if path.lstat().st_uid != os.geteuid():
                continue
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # gone meanwhile, or no folder
            continue
        try:
            if _take(lock):
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock)


def _make() -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX))
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # it was not locked yet, so another process removed it
            continue
        # Whoever is about to remove it has the lock.
        if _take(lock) and path.exists():
            return path, lock
        os.close(lock)


def _take(lock: int) -> bool:
    """Lock the folder; False if another process has it locked."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
