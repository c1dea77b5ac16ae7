"""The Engine of a lab host elsewhere, as a Unix socket on this machine.

Each connection to the socket is one ssh session, in which a relay (``relay.py``) connects it with the Engine's socket
there. So the Docker SDK, ``exec`` with a terminal and ``logs -f`` work as they do here. Sessions share one connection.
"""

from __future__ import annotations

import json
import os
import select
import shlex
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from fedsim_runner.contract.engine_address import DEFAULT_ENGINE, socket_path
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.contract.paths import STATE_ROOT
from fedsim_runner.lab.access import LabAccess
from fedsim_runner.lab.ansible_inventory import become_password_of
from fedsim_runner.lab.host import LabHost
from fedsim_runner.lab.ssh import Ssh
from fedsim_runner.temporary_folders import temporary_folder
from fedsim_runner.user_folders import state_home

from . import relay
from .control_sockets import SSH_NAME, fits

# sudo writes it to standard error when it wants a password; it must be nothing that a host would say by itself.
PROMPT = "fedsim-sudo-password:"
# Keys only: ssh asks nothing. A host that falls silent is noticed after 15 s.
OPTIONS = (
    *("-o", "BatchMode=yes", "-o", "ConnectTimeout=10"),
    *("-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"),
)
SHARED = ("-o", "ControlMaster=auto", "-o", "ControlPersist=60")
HANDSHAKE_S = 40
CHUNK = 1 << 16


class TunnelError(FedsimError):
    """A session could not be opened; the text says why."""

    exit = Exit.LAB


class EngineTunnel:
    """A context in which ``path`` is the socket of a lab host's Engine."""

    def __init__(self, host: LabHost, access: LabAccess) -> None:
        self._host, self._access = host, access
        self._with_sudo = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._folder = temporary_folder()
        self._sessions: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._is_open = True
        # Why the last session could not be opened; None: it could.
        self.failure: str | None = None
        # Names in the folder of runs' states there, when the last session was opened.
        self.state_folders: tuple[str, ...] = ()
        self.path = Path()

    def __enter__(self) -> EngineTunnel:
        self.path = self._folder.__enter__() / "engine"
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_open = False
        # close() alone does not wake a thread that waits in accept().
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for session in self._sessions:
                session.terminate()
            for session in self._sessions:
                session.wait()
        self._folder.__exit__(kind, error, traceback)

    def _accept(self) -> None:
        while self._is_open:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            session = self._open()
        except TunnelError as error:
            self.failure = str(error)
            connection.close()
            return
        self.failure = None
        assert session.stdin is not None and session.stdout is not None
        sending = threading.Thread(target=_send, args=(connection, session.stdin), daemon=True)
        sending.start()
        with suppress(OSError):
            while data := os.read(session.stdout.fileno(), CHUNK):
                connection.sendall(data)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        sending.join()
        connection.close()
        session.wait()
        with self._lock:
            if session in self._sessions:
                self._sessions.remove(session)

    def _open(self) -> subprocess.Popen[bytes]:
        """Open a session, as the user of ssh if the Engine lets that user in, else with sudo.

        Raises:
            TunnelError: neither works.
        """
        assert self._host.ssh is not None
        if not self._with_sudo:
            try:
                return self._try(sudo=False)
            except _DeniedError as denied:
                if not self._host.ssh.sudo:
                    raise TunnelError(f"the user of ssh may not use the Docker Engine there: {denied}") from denied
                self._with_sudo = True
        return self._try(sudo=True)

    def _try(self, sudo: bool) -> subprocess.Popen[bytes]:
        ssh = self._host.ssh
        assert ssh is not None
        words = [ssh.interpreter, "-c", Path(relay.__file__).read_text(encoding="utf-8")]
        words += [socket_path(DEFAULT_ENGINE), str(STATE_ROOT)]
        if sudo:
            words = ["sudo", "-S", "-p", f"{PROMPT}\n", *words]
        with self._lock:
            if not self._is_open:
                raise TunnelError("the connection was closed")
            session = subprocess.Popen(
                ssh.command(ssh_options(ssh), shlex.join(words)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # Ctrl-C is for this process, which ends the session when it has done what is to be done.
                start_new_session=True,
            )
            self._sessions.append(session)
        try:
            said = _shake_hands(session, lambda: become_password_of(self._access, self._host.name))
            self.state_folders = _folders_of(said)
        except BaseException:
            session.kill()
            session.wait()
            raise
        return session


class _DeniedError(TunnelError):
    """The user of ssh may not open the Engine's socket."""


def ssh_options(ssh: Ssh) -> tuple[str, ...]:
    """What ssh gets besides what the inventory says; connections are shared if there is a place for their socket."""
    folder = state_home() / "ssh"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return OPTIONS
    if not fits(folder, SSH_NAME):
        return OPTIONS
    return (*OPTIONS, *SHARED, "-o", f"ControlPath={folder}/{ssh.way}%C")


def _folders_of(said: bytes) -> tuple[str, ...]:
    """The names that the relay said before it was ready; a login shell may have printed something before."""
    _, _, rest = said.rpartition(relay.FOLDERS)
    try:
        names = json.loads(rest.partition(b"\n")[0])
    except ValueError:
        return ()
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _shake_hands(session: subprocess.Popen[bytes], password: Callable[[], str | None]) -> bytes:
    """Wait until the relay is ready, and answer sudo; return what was printed until then.

    Raises:
        TunnelError: it ended, or did not begin in time.
    """
    assert session.stdin is not None and session.stdout is not None and session.stderr is not None
    output, errors = session.stdout.fileno(), session.stderr.fileno()
    seen = {output: b"", errors: b""}
    answered = False
    deadline = time.monotonic() + HANDSHAKE_S
    open_ones = {output, errors}
    while not seen[output].endswith(relay.READY):
        ready, _, _ = select.select(list(open_ones), [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TunnelError(f"no answer within {HANDSHAKE_S} s: {_text(seen[errors])}")
        for descriptor in ready:
            # One byte at a time of the output: what follows the relay's word is the Engine's.
            data = os.read(descriptor, 1 if descriptor == output else CHUNK)
            seen[descriptor] += data
            if not data:
                open_ones.discard(descriptor)
        if output not in open_ones:
            raise _failure_of(session, seen[errors])
        prompts = seen[errors].count(PROMPT.encode())
        if prompts > answered:
            if answered:
                raise TunnelError("sudo there refuses the password (-K asks for it)")
            known = password()
            if known is None:
                raise TunnelError("sudo there asks for a password: -K asks you for it")
            os.write(session.stdin.fileno(), known.encode() + b"\n")
            answered = True
    return seen[output]


def _failure_of(session: subprocess.Popen[bytes], errors: bytes) -> TunnelError:
    assert session.stderr is not None
    code = session.wait()
    # A shared connection that was just made keeps standard error open.
    os.set_blocking(session.stderr.fileno(), False)
    with suppress(BlockingIOError):
        errors += os.read(session.stderr.fileno(), CHUNK)
    text = _text(errors)
    if code == relay.DENIED:
        return _DeniedError(text)
    if code == relay.ABSENT:
        return TunnelError(f"no Docker Engine answers there ({text}): `fedsim-provision up` installs one on Debian")
    if code == 255:
        return TunnelError(f"ssh does not reach it: {text or 'no reason was given'}")
    return TunnelError(text or f"ended with exit code {code}")


def _text(errors: bytes) -> str:
    lines = [line.strip() for line in errors.decode(errors="replace").splitlines()]
    return "; ".join(line for line in lines if line and PROMPT not in line)[-500:]


def _send(connection: socket.socket, target: IO[bytes]) -> None:
    with suppress(OSError):
        while data := connection.recv(CHUNK):
            left = memoryview(data)
            while left:
                left = left[os.write(target.fileno(), left) :]
    with suppress(OSError):
        target.close()
