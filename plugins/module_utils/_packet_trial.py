"""Sending a packet between two network namespaces that are connected as devices are.

That is by veth pairs, and a bridge in a third namespace.

A namespace belongs to a thread, so all of it happens in a thread of its own, and ends with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.errors import Exit, FedsimError

CLONE_NEWNET = 0x40000000
#: Of the range that is set aside for tests (RFC 2544); nothing outside the trial's namespaces sees them.
ADDRESSES = ("198.18.0.1", "198.18.0.2")
PORT = 5000
#: Seconds for one program, between two packets, and for one to arrive: an interface that comes up loses the first ones.
PROGRAM_S = 10
AGAIN_S = 0.2
ARRIVES_WITHIN_S = 3.0

_libc = ctypes.CDLL(None, use_errno=True)


class TrialError(FedsimError):
    """A step of the trial failed; the text says why."""

    exit = Exit.LAB


def try_packet(ip: str) -> str:
    """Return the reason why no packet passes, or nothing. Only root can try.

    Args:
        ip: the program.
    """
    found: list[str] = []

    def work() -> None:
        with contextlib.ExitStack() as stack:
            try:
                _send_one(ip, stack)
                found.append("")
            except (TrialError, OSError) as error:
                found.append(str(error))

    thread = threading.Thread(target=work, name="packet trial")
    thread.start()
    thread.join()
    return found[0] if found else "the trial did not end"


def _send_one(ip: str, stack: contextlib.ExitStack) -> None:
    devices = [_new_namespace(stack) for _ in ADDRESSES]
    _new_namespace(stack)  # the run's, in which this thread stays
    lines = ["link add br0 type bridge stp_state 0 forward_delay 0", "link set br0 up"]
    for number, namespace in enumerate(devices):
        place = f"/proc/{os.getpid()}/fd/{namespace}"
        lines.append(f"link add v{number} type veth peer name eth0 netns {place}")
        lines.append(f"link set v{number} master br0 up")
    _batch(ip, lines)
    channels = []
    for namespace, address in zip(devices, ADDRESSES, strict=True):
        _enter(namespace)
        _batch(ip, [f"address add {address}/24 dev eth0", "link set eth0 up"])
        channel = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        channel.bind((address, PORT))
        channel.settimeout(AGAIN_S)
        channels.append(channel)
    _pass(*channels)


def _pass(sender: socket.socket, receiver: socket.socket) -> None:
    deadline = time.monotonic() + ARRIVES_WITHIN_S
    while True:
        sender.sendto(b"trial", (ADDRESSES[1], PORT))
        with contextlib.suppress(TimeoutError):
            receiver.recv(16)
            return
        if time.monotonic() > deadline:
            raise TrialError(f"none of {ARRIVES_WITHIN_S:.0f} s arrived")


def _new_namespace(stack: contextlib.ExitStack) -> int:
    """Enter a new namespace; return its descriptor, which is closed with ``stack``."""
    _call(_libc.unshare, CLONE_NEWNET)
    descriptor = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, descriptor)
    return descriptor


def _enter(namespace: int) -> None:
    _call(_libc.setns, namespace, CLONE_NEWNET)


def _call(function: Callable[..., int], *arguments: int) -> None:
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _batch(ip: str, lines: list[str]) -> None:
    try:
        done = subprocess.run(
            [ip, "-batch", "-"], input="\n".join(lines), capture_output=True, text=True, timeout=PROGRAM_S, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise TrialError(str(error)) from error
    if done.returncode != 0:
        raise TrialError(done.stderr.strip().replace("\n", "; ") or f"ip ended with {done.returncode}")
