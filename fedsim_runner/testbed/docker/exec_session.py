"""Runs a command inside a container with this process's terminal or standard input, through the Engine's API alone.

The Engine answers the start of a command with the bare connection: what is written to it becomes the command's input,
and what arrives is its output, either unchanged (with a terminal) or in frames for standard output and standard error.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import ssl
import stat
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any, NoReturn

from docker.errors import APIError

from fedsim_runner.console.standard_stream import OutputLostError
from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.contract.exec_output import CHUNK, FRAME, NOT_YET, close, read_ahead

RESIZE_RETRY_S = 0.05  # the Engine refuses a size before the command runs
RESIZE_TRIES = 40
ENDING_S = 2.0  # from the end of the output to the exit code
LOOK_AFTER_S = 5.0  # of silence, whether the device still runs: Engine 20.10 leaves the connection open if it ends


@dataclass(frozen=True)
class Streams:
    """The file descriptors to which the command's input and outputs are connected."""

    input: int | None  # None: closed
    output: int
    errors: int

    @classmethod
    def own(cls) -> Streams:
        """The file descriptors of this process."""
        # If standard input was closed, its number may belong to another file by now.
        return cls(None if sys.stdin is None else 0, 1, 2)

    @property
    def terminal(self) -> int | None:
        """The terminal, if input and output are both connected to it; None otherwise."""
        return self.input if self.input is not None and os.isatty(self.input) and os.isatty(self.output) else None


def run_inside(api: Any, container: str, command: Sequence[str], streams: Streams) -> int:
    """Run ``command`` in a running container and return its exit code; with a terminal where ``streams`` has one.

    Args:
        api: the low-level client of the Docker SDK.
        container: the container's id.
        command: program and arguments.
        streams: where input comes from and output goes.

    Raises:
        FedsimError: the Engine refuses or no longer answers, or the container has ended.
        BrokenPipeError: nobody reads the output.
    """

    def is_running() -> bool:
        return bool(api.inspect_container(container)["State"]["Running"])

    terminal = streams.terminal
    source = streams.input if terminal is not None else _pipeable(api, streams.input)
    try:
        identity = api.exec_create(container, list(command), stdin=source is not None, tty=terminal is not None)["Id"]
        stream = api.exec_start(identity, tty=terminal is not None, socket=True)
        try:
            if terminal is not None:
                with raw_terminal(terminal), _Size(api, identity, streams.output) as size:
                    _Copy(stream, source, partial(_write, streams.output), is_running, size).run()
            else:
                _Copy(stream, source, _Frames(streams).feed, is_running).run()
        finally:
            close(stream)
        return _exit_code(api, identity)
    except BrokenPipeError:
        raise
    except (APIError, OSError) as error:
        reason = str(getattr(error, "explanation", None) or error)
        raise FedsimError("the Engine ended the command or did not start it", Exit.LAB, said=reason) from error


def _pipeable(api: Any, source: int | None) -> int | None:
    """``source`` if its end can be passed on, by closing half of the connection; TLS does not allow that."""
    if source is None or not api.base_url.startswith("https://"):
        return source
    mode = os.fstat(source).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode):
        raise FedsimError(
            "a command inside a device cannot get piped input over TLS",
            Exit.LAB,
            hint="run it on the lab host itself, or without input: </dev/null",
        )
    return None


@contextlib.contextmanager
def raw_terminal(terminal: int) -> Iterator[None]:
    """Pass on every key, Ctrl-C too. The terminal is restored afterwards, also when a signal ends this process."""
    before = termios.tcgetattr(terminal)
    handlers = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        tty.setraw(terminal, termios.TCSADRAIN)
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal is gone: its window was closed
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


class _Size:
    """Reports the size of the terminal to the Engine, at the start and whenever its window changes."""

    def __init__(self, api: Any, identity: str, terminal: int) -> None:
        self._api, self._identity, self._terminal = api, identity, terminal
        self._tries = RESIZE_TRIES
        self._before: Any = None
        # A signal handler does not interrupt select(), so it writes to this pipe.
        self.changes, self._changed = os.pipe()
        os.set_blocking(self._changed, False)

    def __enter__(self) -> _Size:
        self._before = signal.signal(signal.SIGWINCH, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGWINCH, self._before)
        os.close(self.changes)
        os.close(self._changed)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._changed, b"x")

    def read_changes(self) -> None:
        """Take note of a change, after ``changes`` became readable."""
        os.read(self.changes, CHUNK)
        self._tries = RESIZE_TRIES

    def report(self) -> float | None:
        """Report the size if that is due. Return the seconds after which to call again; None: after the next change."""
        if self._tries == 0:
            return None
        columns, lines = os.get_terminal_size(self._terminal)
        try:
            self._api.exec_resize(self._identity, height=lines, width=columns)
        except APIError:  # the command is not running yet, or no longer
            self._tries -= 1
            return RESIZE_RETRY_S
        self._tries = 0
        return None


class _Frames:
    """Unpacks the Engine's frames."""

    def __init__(self, streams: Streams) -> None:
        self._outputs = {1: streams.output, 2: streams.errors}
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Write the complete frames and keep the rest."""
        self._rest += data
        while len(self._rest) >= FRAME.size:
            number, size = FRAME.unpack_from(self._rest)
            if len(self._rest) < FRAME.size + size:
                return
            _write(self._outputs.get(number, self._outputs[1]), self._rest[FRAME.size : FRAME.size + size])
            self._rest = self._rest[FRAME.size + size :]


class _Copy:
    """Copies input to the connection and output from it, until the Engine closes it or the container has ended."""

    def __init__(
        self,
        stream: Any,
        source: int | None,
        show: Callable[[bytes], None],
        is_running: Callable[[], bool],
        size: _Size | None = None,
    ) -> None:
        self._socket: socket.socket = getattr(stream, "_sock", stream)
        self._socket.setblocking(False)
        self._read_ahead = read_ahead(stream)
        self._source = source
        self._show = show
        self._is_running = is_running
        self._size = size
        self._unsent = b""
        self._look_at = time.monotonic() + LOOK_AFTER_S

    def run(self) -> None:
        """Return when the command has ended.

        Raises:
            FedsimError: its container has ended.
        """
        if self._read_ahead:
            self._show(self._read_ahead)
        while (data := self._next()) != b"":
            if data is not None:
                self._show(data)
                self._look_at = time.monotonic() + LOOK_AFTER_S
            elif time.monotonic() >= self._look_at:
                if not self._is_running():
                    raise FedsimError("the device has ended, and the command with it", Exit.LAB)
                self._look_at = time.monotonic() + LOOK_AFTER_S

    def _next(self) -> bytes | None:
        """Wait, pass on input and return output; None if there was none, empty at the end."""
        waits: list[Any] = [self._socket]
        patience = LOOK_AFTER_S
        if self._size is not None:
            patience = self._size.report() or LOOK_AFTER_S
            waits.append(self._size.changes)
        if self._source is not None and not self._unsent:
            waits.append(self._source)
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            patience = 0.0  # already decrypted, which select() does not see
        readable, writable, _ = select.select(waits, [self._socket] if self._unsent else [], [], patience)
        if self._size is not None and self._size.changes in readable:
            self._size.read_changes()
        if self._source in readable:
            self._take_input()
        if writable:
            self._send()
        try:
            return self._socket.recv(CHUNK)
        except NOT_YET:
            return None
        except ConnectionResetError:  # the command ended without reading all of its input
            return b""

    def _take_input(self) -> None:
        assert self._source is not None
        try:
            self._unsent = os.read(self._source, CHUNK)
        except OSError:  # closed, or the terminal is gone
            self._unsent = b""
        if not self._unsent:
            self._source = None
            self._end_input()

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except NOT_YET:
            return
        except (BrokenPipeError, ConnectionResetError):  # it has ended; its last output is still to be read
            self._source, self._unsent = None, b""

    def _end_input(self) -> None:
        if not isinstance(self._socket, ssl.SSLSocket):
            with contextlib.suppress(OSError):  # it has ended
                self._socket.shutdown(socket.SHUT_WR)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # a terminal or pipe that another program made non-blocking
            select.select([], [descriptor], [])
        except OSError as error:
            raise OutputLostError("the command's output", error) from error


def _exit_code(api: Any, identity: str) -> int:
    """The exit code of the command; 0 if it goes on after the user detached (Ctrl-P Ctrl-Q)."""
    end = time.monotonic() + ENDING_S
    while True:
        state = api.exec_inspect(identity)
        if not state["Running"] or time.monotonic() > end:
            return int(state["ExitCode"] or 0)
        time.sleep(RESIZE_RETRY_S)
