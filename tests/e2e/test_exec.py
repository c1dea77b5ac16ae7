"""`exec` without the docker program: at a terminal and in a pipe."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.e2e.conftest import STATE_ROOT, Command, left_over, small_spec

RUN = "exec-inside"
EXEC = [sys.executable, "-m", "fedsim_runner", "exec", RUN]


@pytest.fixture(scope="module")
def waiting(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a testbed that waits at its gate; its registry of runs is the folder ``state`` in it."""
    folder = tmp_path_factory.mktemp("exec")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_STATE_HOME", str(folder / "state"))
        try:
            up = Command(["up", str(small_spec(folder, "small")), "--run", RUN], folder)
            assert up.finish() == 0, up.output
            yield folder
        finally:
            assert Command(["down", RUN], folder).finish() == 0
    assert left_over(engine, RUN) == []


@pytest.fixture
def testbed(waiting: Path, own_state: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, with a PATH that leads to no program."""
    monkeypatch.setenv("XDG_STATE_HOME", str(waiting / "state"))
    monkeypatch.setenv("PATH", "/nonexistent")
    return waiting


class Terminal:
    """The command at its own controlling terminal."""

    def __init__(self, command: list[str], cwd: Path) -> None:
        self.user, program = pty.openpty()
        self.resize(30, 100)
        self.process = subprocess.Popen(
            ["/usr/bin/setsid", "--ctty", *command], cwd=cwd, stdin=program, stdout=program, stderr=program
        )
        os.close(program)
        self.text = ""

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self.user, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self.user, keys.encode())

    def wait_for(self, text: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while text not in self.text:
            assert time.monotonic() < end, f"{text!r} was not printed:\n{self.text}"
            if select.select([self.user], [], [], 0.1)[0]:
                self.text += os.read(self.user, 65536).decode()
        self.text = self.text.partition(text)[2]


def test_a_shell_at_a_terminal(testbed: Path) -> None:
    shell = Terminal([*EXEC, "mote-1"], testbed)
    shell.wait_for("$ ")
    shell.type("tty; id -u; stty size\r")
    user = str((STATE_ROOT / RUN / "devices" / "mote-1" / "out").stat().st_uid)
    for line in ("/dev/pts/", user, "30 100"):
        shell.wait_for(line)
    shell.resize(44, 77)
    shell.type("until stty size | grep 44; do sleep 0.1; done\r")
    shell.wait_for("44 77")
    shell.type("sleep 600\r")
    shell.wait_for("sleep 600\r\n")
    shell.type("\x03")
    shell.wait_for("$ ")
    shell.type("exit 5\r")
    assert shell.process.wait(30) == 5
    os.close(shell.user)


def test_a_command_in_a_pipe(testbed: Path) -> None:
    def inside(*command: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        words = [*EXEC, "mote-1", "--", *command]
        return subprocess.run(words, cwd=testbed, input=stdin, capture_output=True, timeout=60, check=False)

    blob = os.urandom(1 << 20)
    copied = inside("cat", stdin=blob)
    assert (copied.returncode, copied.stdout == blob, copied.stderr) == (0, True, b"")
    failed = inside("sh", "-c", "tty; echo out; echo err >&2; exit 7")
    assert (failed.returncode, failed.stdout, failed.stderr) == (7, b"not a tty\nout\n", b"err\n")
    missing = inside("no-such-program")
    assert missing.returncode in (126, 127)
    assert b"no-such-program" in missing.stdout + missing.stderr
