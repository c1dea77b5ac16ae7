"""Network namespaces, without forks: setns.

A namespace belongs to a thread. Everything here changes only the calling thread's, and programs that
it starts inherit it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator
from pathlib import Path

CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


@contextlib.contextmanager
def _restored() -> Iterator[None]:
    own = os.open(of_this_thread(), os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            yield
        finally:
            _check(_libc.setns(own, CLONE_NEWNET), "setns back")
    finally:
        os.close(own)


@contextlib.contextmanager
def inside(path: str | Path) -> Iterator[None]:
    """Run the block in the namespace at ``path`` (``/proc/<pid>/ns/net``), in the calling thread.

    Raises:
        OSError: the namespace no longer exists, or may not be entered.
    """
    target = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with _restored():
            _check(_libc.setns(target, CLONE_NEWNET), f"setns {path}")
            yield
    finally:
        os.close(target)


@contextlib.contextmanager
def scratch() -> Iterator[None]:
    """Run the block in a new, nameless namespace that ends with it, in the calling thread."""
    with _restored():
        _check(_libc.unshare(CLONE_NEWNET), "unshare")
        yield


def of_this_thread() -> str:
    """The path of the calling thread's network namespace, while it is in it."""
    return f"/proc/self/task/{threading.get_native_id()}/ns/net"


def of_process(pid: int) -> str:
    """The path of a process's network namespace."""
    return f"/proc/{pid}/ns/net"
