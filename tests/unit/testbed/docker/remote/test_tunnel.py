"""The Engine of a lab host over ssh, with programs in place of ssh and sudo that work on this machine."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fedsim_runner.lab.access import LabAccess, LabKeys
from fedsim_runner.lab.host import LabHost
from fedsim_runner.lab.ssh import Ssh
from fedsim_runner.testbed.docker.docker_engine import NoEngineError, lab_engine
from fedsim_runner.testbed.docker.remote import relay, tunnel
from fedsim_runner.testbed.docker.remote.tunnel import EngineTunnel

pytestmark = pytest.mark.process

# Like a host whose user is in group docker or, with a file beside it, is not; it greets, as some shells do.
SSH = """\
#!/bin/sh
while [ "$1" != -- ]; do shift; done
[ "$2" = gone ] && { echo "ssh: connect to host gone port 22: No route to host" >&2; exit 255; }
echo welcome
case "$3" in sudo*) ;; *) [ -e "$0.denied" ] && { echo "/docker.sock: Permission denied" >&2; exit 77; } ;; esac
exec sh -c "$3"
"""
SUDO = """\
#!/bin/sh
prompt=$3
shift 3
while :; do
    printf %s "$prompt" >&2
    read -r given || exit 1
    [ "$given" = right ] && exec "$@"
done
"""


class Engine:
    """Answers each connection with its input in capitals, and with a last word once the input has ended."""

    def __init__(self, path: Path) -> None:
        self.url = f"unix://{path}"
        self.ended = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(1000):
                connection.sendall(data.upper())
            self.ended.set()
            with suppress(BrokenPipeError):
                connection.sendall(b"bye")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    for name, text in (("ssh", SSH), ("sudo", SUDO)):
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = Engine(tmp_path / "docker.sock")
    monkeypatch.setattr(tunnel, "DEFAULT_ENGINE", made.url)
    yield made


def host(address: str = "lab1", sudo: bool = True) -> LabHost:
    return LabHost("lab1", connection="ssh", ssh=Ssh(address, interpreter=sys.executable, sudo=sudo))


def talk(path: Path, text: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(1000), b""))


def test_each_connection_reaches_the_engine_and_ends_as_there(engine: Engine) -> None:
    with EngineTunnel(host(), LabAccess()) as opened:
        assert [talk(opened.path, text) for text in (b"one", b"two" * 50_000)] == [b"ONEbye", b"TWO" * 50_000 + b"bye"]
        assert opened.failure is None
    assert not opened.path.exists()


def test_the_names_of_state_folders_come_with_the_connection(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("q1", "half-made"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    monkeypatch.setattr(tunnel, "STATE_ROOT", tmp_path / "runs")
    with EngineTunnel(host(), LabAccess()) as opened:
        assert talk(opened.path, b"one") == b"ONEbye"
        assert opened.state_folders == ("half-made", "q1")


def test_nothing_stays_on_the_host_when_this_side_goes_away(engine: Engine) -> None:
    with EngineTunnel(host(), LabAccess()) as opened, socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(opened.path))
        silent.sendall(b"x")
        assert silent.recv(10) == b"X"
    assert engine.ended.wait(30)


@pytest.mark.parametrize(
    ("password", "answer", "failure"),
    [
        ("right", b"ONEbye", None),
        ("wrong", b"", "sudo there refuses the password (-K asks for it)"),
        (None, b"", "sudo there asks for a password: -K asks you for it"),
    ],
)
def test_a_user_who_may_not_use_the_engine_becomes_root(
    password: str | None, answer: bytes, failure: str | None, engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "ssh.denied").touch()
    with EngineTunnel(host(), LabAccess(keys=LabKeys(become_password=password))) as opened:
        try:
            assert talk(opened.path, b"one") == answer
        except (BrokenPipeError, ConnectionResetError):
            assert answer == b""
        assert opened.failure == failure


def test_why_an_engine_cannot_be_reached(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "lab host lab1: ssh does not reach it: ssh: connect to host gone port 22: No route to host"
    with pytest.raises(NoEngineError, match=reason), lab_engine(host("gone")):
        pass
    monkeypatch.setattr(tunnel, "DEFAULT_ENGINE", f"unix://{tmp_path}/nothing")
    with pytest.raises(NoEngineError, match="no Docker Engine answers there"), lab_engine(host()):
        pass
    (tmp_path / "ssh.denied").touch()
    with pytest.raises(NoEngineError, match="the user of ssh may not use"), lab_engine(host(sudo=False)):
        pass


def test_the_relay_ends_with_its_reader_though_the_engine_is_silent(engine: Engine) -> None:
    words = [sys.executable, relay.__file__, engine.url.removeprefix("unix://"), "/nothing"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == relay.FOLDERS + b"[]\n"
        assert process.stdout.readline() == relay.READY
        process.stdout.close()
        end = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        assert process.returncode == 0
