"""The channel between agents, over the loopback interface."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fedsim_runner.agent.lab import hub as hub_module
from fedsim_runner.agent.lab.clock import ClockOffset
from fedsim_runner.agent.lab.clock_client import ClockClient
from fedsim_runner.agent.lab.credentials import PORTS, Credentials, new_secret, read_credentials, write_credentials
from fedsim_runner.agent.lab.frames import NONCE_BYTES
from fedsim_runner.agent.lab.hub import ChannelError, Hub, listen
from fedsim_runner.agent.lab.uplink import Uplink

pytestmark = pytest.mark.lengthy
SERVER, MEMBER = "127.0.0.1", "127.0.0.2"
LONGEST_S = 10.0


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LONGEST_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Channel:
    """A hub, and uplinks to it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "channel.json"
        self.secret = new_secret()
        self.hub = self._begin_hub(None)
        write_credentials(self.path, Credentials(self.port, self.secret))
        self.uplink = Uplink("two", MEMBER, SERVER, self.path)
        self.uplink.start()

    def _begin_hub(self, known: Credentials | None) -> Hub:
        stream, datagrams, self.port = listen("r", SERVER, known)
        hub = Hub((stream, datagrams), self.secret, {"two": MEMBER, "three": "127.0.0.3"})
        hub.start()
        hub.publish({"round": 1})
        return hub

    def restart_hub(self) -> None:
        self.hub.close()
        self.hub = self._begin_hub(read_credentials(self.path))

    def take(self, count: int) -> list[object]:
        found = []
        for _ in range(count):
            host, message = self.hub.inbox.get(timeout=LONGEST_S)
            assert host == "two"
            found.append(message["what"])
        return found


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[Channel]:
    made = Channel(tmp_path)
    yield made
    made.uplink.close()
    made.hub.close()


def test_reports_arrive_and_the_state_is_told(channel: Channel) -> None:
    for number in range(100):
        channel.uplink.send(what=number)
    assert channel.take(100) == list(range(100))
    wait_for(lambda: (channel.uplink.state or {}).get("round") == 1)
    channel.hub.publish({"round": 2})
    wait_for(lambda: (channel.uplink.state or {}).get("round") == 2)
    assert (channel.uplink.state or {})["received"] == 100
    assert channel.hub.members()["two"].heard_at is not None
    assert channel.hub.members()["three"].heard_at is None


def test_a_connection_that_breaks_loses_and_repeats_nothing(channel: Channel) -> None:
    channel.uplink.send(what="before")
    assert channel.take(1) == ["before"]
    for link in list(channel.hub._connections):
        link.shutdown(socket.SHUT_RDWR)
    for number in range(10):
        channel.uplink.send(what=number)
    assert channel.take(10) == list(range(10))
    wait_for(lambda: channel.hub.members()["two"].closed_at is None)
    assert channel.hub.inbox.empty()
    assert not channel.uplink.is_new_server


def test_another_process_of_the_servers_agent_is_noticed(channel: Channel) -> None:
    wait_for(lambda: channel.uplink.state)
    channel.restart_hub()
    wait_for(lambda: channel.uplink.is_new_server)
    channel.uplink.begin()
    assert not channel.uplink.is_new_server


def test_an_agent_that_has_ended_is_told_from_a_host_that_is_silent(channel: Channel) -> None:
    wait_for(lambda: channel.uplink.state)
    channel.hub.close()
    wait_for(lambda: channel.uplink.closed_at is not None)


def test_strangers_are_turned_away(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_connection((SERVER, channel.port), LONGEST_S) as link:  # not from a lab host's address
        assert link.recv(1) == b""
    with socket.create_connection((SERVER, channel.port), LONGEST_S, (MEMBER, 0)) as link:
        link.recv(NONCE_BYTES, socket.MSG_WAITALL)
        link.sendall(b"n" * NONCE_BYTES + (9).to_bytes(4) + b"m" * 32 + b'{"n": 12}')
        assert link.recv(1) == b""
    monkeypatch.setattr(hub_module, "HELLO_S", 0.2)
    with socket.create_connection((SERVER, channel.port), LONGEST_S, (MEMBER, 0)) as link:
        link.recv(NONCE_BYTES, socket.MSG_WAITALL)
        assert link.recv(1) == b""
    assert channel.hub.inbox.empty()


def test_the_same_clock_is_found_to_be_the_same(channel: Channel) -> None:
    found: list[ClockOffset] = []
    client = ClockClient(SERVER, channel.path, found.append)
    # The hub answers only lab hosts, and a client on the loopback interface asks from the server's own address.
    channel.hub._addresses["itself"] = SERVER
    client.start()
    wait_for(lambda: found)
    client.close()
    assert abs(found[0].offset_s) <= found[0].bound_s + 1e-6


def test_two_runs_take_two_ports_and_a_wrong_address_is_named(channel: Channel) -> None:
    stream, datagrams, port = listen("r", SERVER, None)
    assert port != channel.port
    assert port in PORTS
    stream.close()
    datagrams.close()
    with pytest.raises(ChannelError, match=r"cannot listen at its address 192\.0\.2\.1"):
        listen("r", "192.0.2.1", None)


def test_the_secret_is_for_its_owner_alone(channel: Channel) -> None:
    assert channel.path.stat().st_mode & 0o777 == 0o600
    channel.path.write_text("{}")
    assert read_credentials(channel.path) is None
