"""Network namespaces, and segmentation offload, without forks: setns, ethtool's ioctl.

A namespace belongs to a thread. Everything here changes only the calling thread's, and programs that
it starts inherit it.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

CLONE_NEWNET = 0x40000000
_SIOCETHTOOL = 0x8946
_GET_SET = ((0x1E, 0x1F), (0x23, 0x24))  # ETHTOOL_G/STSO, ETHTOOL_G/SGSO

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


@contextlib.contextmanager
def _restored() -> Iterator[None]:
    own = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
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


def of_process(pid: int) -> str:
    """The path of a process's network namespace."""
    return f"/proc/{pid}/ns/net"


def segmentation_offload(interface: str) -> bool:
    """Whether the interface may send super-packets (TSO or GSO on) in the calling thread's namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        return any(_ethtool(channel, interface, get, 0) for get, _ in _GET_SET)


def set_segmentation_offload(interface: str, on: bool) -> None:
    """Turn TSO and GSO on or off."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        for _, command in _GET_SET:
            _ethtool(channel, interface, command, int(on))


def _ethtool(channel: socket.socket, interface: str, command: int, value: int) -> int:
    argument = ctypes.create_string_buffer(struct.pack("=II", command, value), 8)
    request = struct.pack("16sQ", interface.encode(), ctypes.addressof(argument)) + bytes(16)
    fcntl.ioctl(channel, _SIOCETHTOOL, request)
    return int(struct.unpack_from("=I", argument.raw, 4)[0])
