"""Requests are made together in each namespace, and what has become of them is kept until somebody asks."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from fedsim_runner.agent.changing.due_requests import Part, encode
from fedsim_runner.agent.changing.process import obey
from fedsim_runner.agent.changing.requests import RUN, Requests
from fedsim_runner.agent.kernel import netlink, netns
from fedsim_runner.agent.kernel.netlink import Form, Request

GOOD, BAD = (Form(36, 0, bytes(4), tail) for tail in (b"good", b"bad"))


class Kernel:
    """Namespaces that exist, and the requests that were made in each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[tuple[str, list[bytes]]] = []
        self.gone: set[str] = set()
        self._here = ""
        self._where: dict[int, str] = {}
        monkeypatch.setattr(netns, "inside", self._inside)
        monkeypatch.setattr(netlink, "open_channel", self._open)
        monkeypatch.setattr(netlink, "ask_all", self._ask_all)

    @contextlib.contextmanager
    def _inside(self, path: str | Path) -> Iterator[None]:
        if path in self.gone:
            raise FileNotFoundError(f"no {path}")
        self._here = str(path)
        yield

    def _open(self) -> socket.socket:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._where[channel.fileno()] = self._here
        return channel

    def _ask_all(self, requests: Sequence[Request], channel: socket.socket) -> dict[int, OSError]:
        where = self._where[channel.fileno()]
        if where in self.gone:
            raise OSError(f"{where} has ended")
        self.made.append((where, [one.body[8:] for one in requests]))
        return {
            place: OSError(22, "Invalid argument") for place, one in enumerate(requests) if one.body.endswith(b"bad")
        }


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


@pytest.fixture
def requests(kernel: Kernel) -> Iterator[Requests]:
    made = Requests()
    for where in (RUN, "a", "b"):
        made.open(where, f"/{where}")
    yield made
    for where in (RUN, "a", "b"):
        made.close(where)


def test_requests_of_a_namespace_are_made_together(kernel: Kernel, requests: Requests) -> None:
    due_s = time.monotonic()
    parts = [
        Part("a", "up", "a", 7, [GOOD]),
        Part("a", "down", RUN, 7, [GOOD, GOOD]),
        Part("b", "up", "b", 7, [BAD]),
        Part("b", "down", RUN, 7, [GOOD]),
    ]
    requests.hold(1, due_s, parts)
    assert requests.next_s == due_s and requests.make_next(due_s) and not requests.make_next(due_s)
    assert kernel.made == [("/a", [b"good"]), ("/", [b"good"] * 3), ("/b", [b"bad"])]
    outcome = requests.outcome(1)
    assert outcome.made == [("a", "up"), ("a", "down"), ("b", "up"), ("b", "down")]
    assert outcome.refused == {"b": "[Errno 22] Invalid argument"} and outcome.late_s >= 0
    assert requests.outcome(1).made == [], "nobody asks again"


def test_who_asks_before_its_time_has_the_change_made(kernel: Kernel, requests: Requests) -> None:
    requests.hold(1, time.monotonic() + 60, [Part("a", "up", "a", 7, [GOOD])])
    assert requests.outcome(1).made == [("a", "up")] and kernel.made
    assert requests.next_s is None


def test_a_namespace_that_is_gone_fails_its_own_device_alone(kernel: Kernel, requests: Requests) -> None:
    requests.close("a")
    kernel.gone.add("/b")
    parts = [Part(name, "up", name, 7, [GOOD]) for name in "ab"] + [Part("c", "down", RUN, 7, [GOOD])]
    requests.hold(1, time.monotonic(), parts)
    refused = requests.outcome(1).refused
    assert refused == {"a": "its namespace is gone", "b": "/b has ended"}
    assert kernel.made == [("/", [b"good"])]


def test_commands(kernel: Kernel, requests: Requests) -> None:
    kernel.gone.add("/gone")
    opened = obey(requests, {"op": "open", "namespaces": {"c": "/c", "d": "/gone"}})
    assert opened == {"failed": {"d": "no /gone"}}
    sent = encode([Part("c", "up", "c", 7, [GOOD])])
    assert obey(requests, {"op": "change", "number": 7, "at": time.monotonic(), **sent}) is None
    assert requests.make_next(time.monotonic())
    answer = obey(requests, {"op": "changed", "number": 7})
    assert answer is not None and (answer["made"], answer["refused"]) == ([("c", "up")], {})
    assert obey(requests, {"op": "close", "device": "c"}) is None
    requests.hold(8, 0.0, [Part("c", "up", "c", 7, [GOOD])])
    assert requests.outcome(8).refused == {"c": "its namespace is gone"}
