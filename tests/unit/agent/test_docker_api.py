"""The Engine's answers: what it refuses, what does not exist, and what it leaves unanswered."""

from __future__ import annotations

import json
import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from fedsim_runner.agent.host import docker_api
from fedsim_runner.agent.host.docker_api import Docker, DockerError, GoneError, RefusedError
from fedsim_runner.agent.host.fleet import Fleet

pytestmark = pytest.mark.lengthy


class Answers(BaseHTTPRequestHandler):
    """Answers with the status in the container's name; ``silent`` gets none. Events come late."""

    def do_GET(self) -> None:
        if self.path == "/_ping":
            self._answer(200, {})
            return
        least = self.server.least  # type: ignore[attr-defined]
        if self.path == "/version":
            self._answer(200, {"ApiVersion": "1.99", "MinAPIVersion": least})
            return
        version, path = re.fullmatch(r"/v([\d.]+)(/.*)", self.path).groups()  # type: ignore[union-attr]
        if version < least:
            said = f"client version {version} is too old. Minimum supported API version is {least}, please upgrade"
            self._answer(400, {"message": said})
            return
        self.server.versions.append(version)  # type: ignore[attr-defined]
        if path.startswith("/events?"):
            self.send_response(200)
            self.end_headers()
            self.wfile.flush()
            self.server.shutting.wait(0.5)  # type: ignore[attr-defined]
            self.wfile.write(b'{"Action": "die"}\n')
            return
        name = path.split("/")[2]
        if name == "silent":
            self.server.shutting.wait(10)  # type: ignore[attr-defined]
            return
        self._answer(int(name), {"message": "said"})

    def _answer(self, status: int, content: dict[str, str]) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def do_POST(self) -> None:
        self.do_GET()

    def address_string(self) -> str:
        return "the agent"

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class Engine(socketserver.ThreadingUnixStreamServer):
    """An Engine.

    Attributes:
        least: the oldest version of the API that it takes.
        versions: those of the calls that it has taken.
    """

    def __init__(self, path: Path) -> None:
        self.shutting = threading.Event()
        self.least = "1.24"
        self.versions: list[str] = []
        super().__init__(str(path), Answers)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "docker.sock") as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield server
        server.shutting.set()
        server.shutdown()


@pytest.fixture
def docker(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Docker:
    monkeypatch.setattr(docker_api, "TIMEOUT_S", 0.2)
    return Docker(str(engine.server_address))


@pytest.mark.parametrize(("answer", "kind"), [("404", GoneError), ("409", RefusedError), ("500", DockerError)])
def test_a_refusal_says_more_than_an_error(docker: Docker, answer: str, kind: type[DockerError]) -> None:
    with pytest.raises(DockerError, match=f"{answer} .*said") as caught:
        docker.kill(answer, "KILL")
    assert type(caught.value) is kind


def test_only_what_does_not_exist_is_gone(docker: Docker) -> None:
    fleet = Fleet(docker, "r")
    assert fleet.inspect("404") is None
    assert fleet.last_lines("404") == fleet.last_lines("409") == []
    for name in ("409", "500", "silent"):
        with pytest.raises(DockerError):
            fleet.inspect(name)
    for name in ("500", "silent"):
        with pytest.raises(DockerError):
            fleet.last_lines(name)


def test_an_engine_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    with pytest.raises(DockerError) as caught:
        Docker(str(tmp_path / "none.sock")).inspect("x")
    assert not isinstance(caught.value, RefusedError)


def test_an_engine_is_there_if_it_answers_in_time(docker: Docker, tmp_path: Path) -> None:
    assert not Docker(str(tmp_path / "none.sock")).is_there(5.0)
    with socket.socket(socket.AF_UNIX) as listener:
        # As systemd keeps the socket of an Engine that has ended.
        listener.bind(str(tmp_path / "kept.sock"))
        listener.listen()
        assert not Docker(str(tmp_path / "kept.sock")).is_there(0.05)
    assert docker.is_there(5.0)


def test_events_are_waited_for_without_a_limit_once_the_engine_has_answered(docker: Docker, tmp_path: Path) -> None:
    """The Engine answers at once, and sends an event after more than a call's time."""
    assert [event["Action"] for event in docker.events({"type": ["container"]}, 0.0)] == ["die"]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "silent.sock"))
        listener.listen()
        with pytest.raises(DockerError, match="timed out"):
            next(Docker(str(tmp_path / "silent.sock")).events({}, 0.0))


def test_the_oldest_version_that_both_sides_know_is_spoken(docker: Docker, engine: Engine) -> None:
    assert docker.inspect("200") == docker.inspect("200")
    assert engine.versions == ["1.41", "1.41"]
    engine.least = "1.44"  # a newer Engine takes over, whose minimum is higher
    assert docker.inspect("200")
    assert engine.versions[2:] == ["1.44"]


@pytest.mark.parametrize(
    ("engine", "version"),
    [
        ({"ApiVersion": "1.41", "MinAPIVersion": "1.12"}, "1.41"),
        ({"ApiVersion": "1.52", "MinAPIVersion": "1.44"}, "1.44"),
        ({"ApiVersion": "2.3", "MinAPIVersion": "2.0"}, "2.0"),
        ({}, "1.41"),
        ({"MinAPIVersion": "unknown"}, "1.41"),
    ],
)
def test_the_version_follows_from_what_the_engine_says(engine: dict[str, str], version: str) -> None:
    assert docker_api.choose_version(engine) == version
