"""Holding a run on this machine: one command at a time works on a run, of whichever user, home and shell it is.

The name of an abstract Unix socket (unix(7)) can be bound once. The kernel frees it when the process ends, however that
happens, so there is no file that could be stale, be removed under a holder, or need a folder that all can write to. It
holds before anything of the run is written, on the control node. What counts on a lab host is the claim there
(:mod:`fedsim_runner.contract.claim`), which processes of plain Ansible and of other machines take, too.
"""

from __future__ import annotations

import errno
import pwd
import shlex
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from ..contract.claim import CONTROL_VARIABLE, RUN_VARIABLE, RunBusyError
from ..testbed.orphans import end_processes
from ..testbed.protocol import Testbed

PREFIX = "fedsim/run/"
CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
SHOWN_COMMAND = 80
# Each process that was refused stays in the queue, as the holder takes none out of it.
QUEUE = 1024


@contextmanager
def hold(run: str) -> Iterator[None]:
    """Keep all other commands on this machine from working on the run.

    Raises:
        RunBusyError: one does already.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as name:
        try:
            name.bind(_address(run))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise RunBusyError(run, _holder(run)) from error
        name.listen(QUEUE)
        yield


@contextmanager
def hold_alone(run: str, testbed: Testbed) -> Iterator[None]:
    """Like :func:`hold`, and nobody else works on the run on its testbed either.

    Raises:
        RunBusyError: another process works on the run.
    """
    with hold(run):
        if who := testbed.worked_on_by(run):
            raise RunBusyError(run, who)
        yield


def end_orphans(run: str, console: Console) -> None:
    """End the processes of a run that is held whose control node was killed.

    Ansible outlives it, and would go on creating what is removed or made anew now.
    """
    if orphans := end_processes(RUN_VARIABLE, run, only_orphans_of=CONTROL_VARIABLE):
        console.print(f"{run}: ended {orphans} processes whose control node is gone", markup=False, highlight=False)


def is_held(run: str) -> bool:
    """Whether a command on this machine works on the run."""
    try:
        sockets = Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(line.endswith(f" @{PREFIX}{run}") for line in sockets.splitlines())


def who_holds(run: str) -> str | None:
    """The command on this machine that works on the run, for people; None: none does."""
    return _holder(run) if is_held(run) else None


def _holder(run: str) -> str:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.setblocking(False)
            asking.connect(_address(run))
            pid, uid, _ = CREDENTIALS.unpack(asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))
    except OSError:  # it has just ended, or its queue is full
        return "another process"
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    return f"process {pid} of user {user}{_command(pid)}"


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")[:-1]
    except OSError:
        return ""
    if len(words) > 1 and Path(words[0]).name.startswith("python"):
        words = [Path(words[1]).name, *words[2:]]  # the interpreter says nothing
    text = "".join(character if character.isprintable() else "?" for character in shlex.join(words))
    return f" ({text[:SHOWN_COMMAND]}{'...' if len(text) > SHOWN_COMMAND else ''})"


def _address(run: str) -> str:
    return f"\0{PREFIX}{run}"
