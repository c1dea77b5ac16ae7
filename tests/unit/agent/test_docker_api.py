"""The Engine's answers: what it refuses, what does not exist, and what it leaves unanswered."""

from __future__ import annotations

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


class Answers(BaseHTTPRequestHandler):
    """Answers with the status in the container's name; ``silent`` gets none. Events come late."""

    def do_GET(self) -> None:
        if self.path == "/_ping":
            self.send_response(200)
            self.end_headers()
            return
        if self.path.startswith("/events?"):
            self.send_response(200)
            self.end_headers()
            self.wfile.flush()
            self.server.shutting.wait(0.5)  # type: ignore[attr-defined]
            self.wfile.write(b'{"Action": "die"}\n')
            return
        name = self.path.split("/")[2]
        if name == "silent":
            self.server.shutting.wait(10)  # type: ignore[attr-defined]
            return
        self.send_response(int(name))
        self.end_headers()
        self.wfile.write(b'{"message": "said"}')

    def do_POST(self) -> None:
        self.do_GET()

    def address_string(self) -> str:
        return "the agent"

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Docker]:
    monkeypatch.setattr(docker_api, "TIMEOUT_S", 0.2)
    path = str(tmp_path / "docker.sock")
    with socketserver.ThreadingUnixStreamServer(path, Answers) as server:
        server.shutting = threading.Event()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield Docker(path)
        server.shutting.set()  # type: ignore[attr-defined]
        server.shutdown()


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
