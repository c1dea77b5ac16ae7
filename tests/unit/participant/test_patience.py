"""Messages of the light engine over a connection on which everything takes long."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedsim_runner.contract.time_scale import TimeScale
from fedsim_runner.participant.activity import Activity
from fedsim_runner.participant.light import transport
from fedsim_runner.participant.light.transport import Transport
from fedsim_runner.participant.light.wire import Message
from fedsim_runner.participant.patience import connecting_options
from tests.unit.participant.helpers import LOOPBACK, free_ports

# Longer than gRPC may take to connect where the link is not known to be slow.
ONE_WAY_S = 2.6


@contextlib.contextmanager
def slow_way(port: int, one_way_s: float) -> Iterator[int]:
    """A port from which everything goes to ``port``, and back, so much later."""
    with socket.create_server((LOOPBACK, 0)) as listener:

        def pass_on(source: socket.socket, target: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(1 << 16):
                    threading.Timer(one_way_s, send, (target, data)).start()

        def send(target: socket.socket, data: bytes) -> None:
            with contextlib.suppress(OSError):
                target.sendall(data)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    near, _ = listener.accept()
                    far = socket.create_connection((LOOPBACK, port))
                    for ends in ((near, far), (far, near)):
                        threading.Thread(target=pass_on, args=ends, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]


@pytest.mark.lengthy
@pytest.mark.course
def test_a_peer_behind_a_slow_link_is_reached(tmp_path: Path) -> None:
    ports = free_ports(2)
    sender = Transport(LOOPBACK, ports[0], Activity(tmp_path), answer_s=2 * ONE_WAY_S)
    receiver = Transport(LOOPBACK, ports[1], Activity(tmp_path))
    begun = time.monotonic()
    try:
        with slow_way(ports[1], ONE_WAY_S) as entrance:
            sender.add_peer(0, f"{LOOPBACK}:{entrance}")
            sender.send(Message("join_in", -1, [0], 0, {"host": LOOPBACK, "port": ports[0]}), first_contact=True)
            assert receiver.wait([], str).msg_type == "join_in"
    finally:
        for one in (sender, receiver):
            one.close()
    # The settings of the connection, the message, and the answer to it: the first attempt to connect has succeeded.
    assert time.monotonic() - begun < 5 * ONE_WAY_S


@pytest.mark.course
@pytest.mark.parametrize("parted_s", [0.0, 20.0])
def test_a_peer_that_events_keep_out_of_reach_is_tried_for_longer(
    parted_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "RETRY_S", 0.2)
    ports, failed = free_ports(2), []
    sender = Transport(
        LOOPBACK, ports[0], Activity(tmp_path), lambda peer, reason: failed.append(reason), parted_s=parted_s
    )
    made = [sender]
    back = threading.Timer(1.0, lambda: made.append(Transport(LOOPBACK, ports[1], Activity(tmp_path))))
    try:
        sender.add_peer(0, f"{LOOPBACK}:{ports[1]}")
        sender.post(Message("join_in", -1, [0], 0, {"host": LOOPBACK, "port": ports[0]}))
        back.start()
        sender.flush()
        assert bool(failed) == (parted_s == 0.0)
        back.join()
        assert parted_s == 0.0 or made[1].wait([], str).msg_type == "join_in"
    finally:
        back.join()
        for one in made:
            one.close()


@pytest.mark.course
def test_the_time_for_which_a_client_is_offline_is_part_of_sending(tmp_path: Path) -> None:
    ports = free_ports(2)
    for name in ("server", "client"):
        (tmp_path / name).mkdir()
    server = Transport(LOOPBACK, ports[1], Activity(tmp_path / "server"))
    client = Transport(LOOPBACK, ports[0], Activity(tmp_path / "client"))
    try:
        client.add_peer(0, f"{LOOPBACK}:{ports[1]}")
        client.set_offline(0, True)
        client.post(Message("model_para", 1, [0], 3, "x"))
        written = tmp_path / "client" / "activity.jsonl"
        steps = [json.loads(line)["what"] for line in written.read_text().splitlines()]
        assert steps == ["send"], "recorded, while nothing is sent"
        client.set_offline(0, False)
        client.flush()
        steps = [json.loads(line)["what"] for line in written.read_text().splitlines()]
        assert steps == ["send", "sent"]
        assert server.wait([], str).state == 3
    finally:
        for one in (server, client):
            one.close()


def test_in_dilated_time_all_but_the_links_takes_longer() -> None:
    options = dict(connecting_options(2.0, 10, TimeScale(0.25)))
    assert options["grpc.min_reconnect_backoff_ms"] == 38_000
    assert (options["grpc.initial_reconnect_backoff_ms"], options["grpc.max_reconnect_backoff_ms"]) == (800, 8000)
    assert dict(connecting_options(20.0, 0, TimeScale(1e-6)))["grpc.min_reconnect_backoff_ms"] == 2**31 - 1


def test_a_usual_link_is_given_up_as_soon_as_before() -> None:
    assert dict(connecting_options(2.0, 0))["grpc.min_reconnect_backoff_ms"] == 2000
    assert dict(connecting_options(2.0, 10))["grpc.min_reconnect_backoff_ms"] == 32_000
