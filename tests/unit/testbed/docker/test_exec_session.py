"""A command inside a container as the user sees it: terminal, input, output, exit code, on a fake Engine."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pty
import signal
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError

from fedsim_runner.contract.errors import Exit, FedsimError
from fedsim_runner.contract.exec_output import FRAME
from fedsim_runner.testbed.docker import exec_session
from fedsim_runner.testbed.docker.exec_session import Streams, raw_terminal, run_inside

Program = Callable[[socket.socket], None]


class Engine:
    """Runs a ``Program`` at the other end of a connection. ``refusals``: how often a terminal's size is refused."""

    base_url = "http+docker://localhost"

    def __init__(self, program: Program, code: int = 0, refusals: int = 0, head: bytes = b"") -> None:
        self.program, self.code, self.refusals, self.head = program, code, refusals, head
        self.created: dict[str, Any] = {}
        self.sizes: list[tuple[int, int]] = []
        self.runs = True

    def exec_create(self, container: str, command: list[str], **options: Any) -> dict[str, str]:
        self.created = {"container": container, "command": command, **options}
        return {"Id": "e1"}

    def exec_start(self, identity: str, **options: Any) -> Any:
        ours, theirs = socket.socketpair()
        theirs.sendall(b"HTTP/1.1 101 UPGRADED\n" + self.head)
        reader = ours.makefile("rb")
        reader.readline()
        response = SimpleNamespace(raw=SimpleNamespace(_fp=SimpleNamespace(fp=reader)), close=reader.close)
        threading.Thread(target=self._run, args=(theirs,), daemon=True).start()
        return SimpleNamespace(_sock=ours, _response=response)

    def _run(self, connection: socket.socket) -> None:
        with connection:
            self.program(connection)

    def exec_resize(self, identity: str, height: int, width: int) -> None:
        if self.refusals:
            self.refusals -= 1
            raise APIError("it is not running yet")
        self.sizes.append((height, width))

    def inspect_container(self, container: str) -> dict[str, Any]:
        return {"State": {"Running": self.runs}}

    def exec_inspect(self, identity: str) -> dict[str, Any]:
        return {"Running": False, "ExitCode": self.code}


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def frame(number: int, data: bytes) -> bytes:
    return FRAME.pack(number, len(data)) + data


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Callable[[bytes], tuple[Streams, Path, Path]]]:
    """Standard input with the given bytes, and files for both outputs."""
    opened: list[int] = []

    def make(given: bytes) -> tuple[Streams, Path, Path]:
        (tmp_path / "in").write_bytes(given)
        opened.append(os.open(tmp_path / "in", os.O_RDONLY))
        paths = tmp_path / "out", tmp_path / "err"
        opened.extend(os.open(path, os.O_WRONLY | os.O_CREAT) for path in paths)
        return Streams(*opened[-3:]), *paths

    yield make
    for descriptor in opened:
        os.close(descriptor)


def test_outputs_are_separated_however_they_arrive(files: Callable[[bytes], tuple[Streams, Path, Path]]) -> None:
    def program(connection: socket.socket) -> None:
        for byte in frame(1, b"one") + frame(2, b"oh") + frame(1, b"") + frame(1, b" two"):
            connection.sendall(bytes([byte]))
            time.sleep(0.001)

    streams, out, err = files(b"")
    engine = Engine(program, code=7)
    assert run_inside(engine, "c1", ["ls", "-l"], streams) == 7
    assert (out.read_bytes(), err.read_bytes()) == (b"one two", b"oh")
    assert engine.created == {"container": "c1", "command": ["ls", "-l"], "stdin": True, "tty": False}


def test_output_that_came_with_the_response_header_is_not_lost(
    files: Callable[[bytes], tuple[Streams, Path, Path]],
) -> None:
    streams, out, _ = files(b"")
    whole = frame(1, b"early") + frame(1, b" and late")
    engine = Engine(lambda connection: connection.sendall(whole[10:]), head=whole[:10])
    assert run_inside(engine, "c1", ["ls"], streams) == 0
    assert out.read_bytes() == b"early and late"


def test_input_is_passed_on_to_its_end(files: Callable[[bytes], tuple[Streams, Path, Path]]) -> None:
    """Even while the command writes more than the buffers hold, and reads nothing at first."""
    given, printed = os.urandom(3 << 20), os.urandom(1 << 20)

    def program(connection: socket.socket) -> None:
        connection.sendall(frame(1, printed))
        connection.sendall(frame(1, hashlib.sha256(read_all(connection)).digest()))

    streams, out, _ = files(given)
    assert run_inside(Engine(program), "c1", ["sha256sum"], streams) == 0
    assert out.read_bytes() == printed + hashlib.sha256(given).digest()


def test_a_command_that_reads_nothing_still_ends(files: Callable[[bytes], tuple[Streams, Path, Path]]) -> None:
    streams, out, _ = files(bytes(3 << 20))
    engine = Engine(lambda connection: connection.sendall(frame(1, b"done")), code=3)
    assert run_inside(engine, "c1", ["true"], streams) == 3
    assert out.read_bytes() == b"done"


def test_closed_standard_input_is_not_passed_on(files: Callable[[bytes], tuple[Streams, Path, Path]]) -> None:
    streams, out, _ = files(b"not this")
    engine = Engine(lambda connection: connection.sendall(frame(1, b"done")))
    assert run_inside(engine, "c1", ["true"], Streams(None, streams.output, streams.errors)) == 0
    assert engine.created["stdin"] is False
    assert out.read_bytes() == b"done"


def test_over_tls_piped_input_is_refused(files: Callable[[bytes], tuple[Streams, Path, Path]]) -> None:
    engine = Engine(lambda connection: None)
    engine.base_url = "https://lab.test:2376"
    streams, _, _ = files(b"x")
    with pytest.raises(FedsimError, match="cannot get piped input over TLS: run it on the lab host"):
        run_inside(engine, "c1", ["cat"], streams)
    nothing = os.open(os.devnull, os.O_RDONLY)
    assert run_inside(engine, "c1", ["true"], Streams(nothing, streams.output, streams.errors)) == 0
    assert engine.created["stdin"] is False
    os.close(nothing)


def test_a_refusal_of_the_engine_is_a_lab_error(files: Callable[[bytes], tuple[Streams, Path, Path]]) -> None:
    class Refusing(Engine):
        def exec_create(self, container: str, command: list[str], **options: Any) -> dict[str, str]:
            raise APIError("409", explanation="container c1 is paused")

    streams, _, _ = files(b"")
    with pytest.raises(FedsimError, match="container c1 is paused") as caught:
        run_inside(Refusing(lambda connection: None), "c1", ["ls"], streams)
    assert caught.value.exit == Exit.LAB


def test_a_device_that_ends_ends_a_command_whose_connection_stays_open(
    files: Callable[[bytes], tuple[Streams, Path, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exec_session, "LOOK_AFTER_S", 0.02)
    over = threading.Event()

    def program(connection: socket.socket) -> None:
        connection.sendall(frame(1, b"still here"))
        time.sleep(0.1)  # the device runs, and the command says nothing
        engine.runs = False
        over.wait(20)

    engine = Engine(program)
    streams, out, _ = files(b"")
    with pytest.raises(FedsimError, match="the device has ended, and the command with it") as caught:
        run_inside(engine, "c1", ["sleep", "9"], streams)
    over.set()
    assert caught.value.exit == Exit.LAB
    assert out.read_bytes() == b"still here"


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The user's end and the program's end of a terminal."""
    user, program = pty.openpty()
    resize(program, 24, 80)
    yield user, program
    os.close(user)
    os.close(program)


def resize(descriptor: int, lines: int, columns: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


def is_raw(descriptor: int) -> bool:
    return not termios.tcgetattr(descriptor)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)


def test_a_terminal_passes_every_key_and_its_size(terminal: tuple[int, int]) -> None:
    user, own = terminal
    engine: Engine
    raw: list[bool] = []

    def until(condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not condition() and time.monotonic() < end:
            time.sleep(0.01)

    def program(connection: socket.socket) -> None:
        until(lambda: len(engine.sizes) == 1)
        raw.append(is_raw(own))
        resize(own, 40, 132)
        os.kill(os.getpid(), signal.SIGWINCH)
        until(lambda: len(engine.sizes) == 2)
        os.write(user, b"\x03\x04")  # Ctrl-C and Ctrl-D are the command's
        keys = connection.recv(10)
        connection.sendall(b"\r\nkeys: " + keys.hex().encode())

    before = termios.tcgetattr(own)
    engine = Engine(program, code=5, refusals=3)
    assert run_inside(engine, "c1", ["/bin/sh"], Streams(own, own, own)) == 5
    assert engine.created["tty"] and engine.created["stdin"]
    assert engine.sizes == [(24, 80), (40, 132)]
    assert raw == [True]
    assert os.read(user, 100) == b"\r\nkeys: 0304"
    assert termios.tcgetattr(own) == before


def test_a_signal_leaves_the_terminal_as_it_was(terminal: tuple[int, int]) -> None:
    _, own = terminal
    before, handler = termios.tcgetattr(own), signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught, raw_terminal(own):
        assert is_raw(own)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert caught.value.code == 143
    assert termios.tcgetattr(own) == before
    assert signal.getsignal(signal.SIGTERM) == handler
