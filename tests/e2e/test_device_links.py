"""Delay and rate measured between two device containers of a testbed that the command provisioned."""

from __future__ import annotations

import statistics
from pathlib import Path

import docker
import pytest

from fedsim_runner.contract.names import container_name
from tests.e2e.conftest import Command, left_over, small_spec

RUN = "device-links"
# small_spec: 2 Mbit/s up, 4 Mbit/s down, 20 ms in each direction, so a round trip between two devices is 80 ms.
ROUND_TRIP_S = 0.080
RATE_BPS = 2_000_000
BYTES = 500_000

RECEIVE = """
import socket, time
with socket.create_server(("0.0.0.0", 6000)) as server:
    peer, _ = server.accept()
    seen, began = 0, None
    while data := peer.recv(65536):
        began = began or time.monotonic()
        seen += len(data)
    print(seen, time.monotonic() - began)
"""
# A port where nothing listens answers with an immediate reset: connecting takes one round trip.
PING = """
import socket, time
for _ in range(9):
    began = time.monotonic()
    try:
        socket.create_connection(("198.18.0.3", 6001), 5)
    except ConnectionRefusedError:
        print(time.monotonic() - began)
"""
SEND = f"""
import socket
with socket.create_connection(("198.18.0.3", 6000), 5) as peer:
    peer.sendall(bytes({BYTES}))
"""


@pytest.mark.alone
def test_two_devices_measure_the_requested_delay_and_rate(engine: docker.DockerClient, tmp_path: Path) -> None:
    up = Command(["up", str(small_spec(tmp_path, "small")), "--run", RUN], tmp_path)
    try:
        assert up.finish() == 0, up.output
        first, second = (engine.containers.get(container_name(RUN, f"mote-{n}")) for n in (1, 2))
        trips = [float(line) for line in first.exec_run(["python3", "-c", PING]).output.split()]
        assert 1.0 * ROUND_TRIP_S <= statistics.median(trips) <= 1.15 * ROUND_TRIP_S

        receiver = engine.api.exec_create(second.id, ["python3", "-c", RECEIVE])["Id"]
        answer = engine.api.exec_start(receiver, stream=True)
        sent = first.exec_run(["sh", "-c", 'sleep 1; exec python3 -c "$0"', SEND])
        assert sent.exit_code == 0, sent.output
        seen, seconds = b"".join(answer).split()
        assert int(seen) == BYTES
        # Headers take a few percent of what the bucket lets through.
        assert 0.85 * RATE_BPS <= BYTES * 8 / float(seconds) <= 1.05 * RATE_BPS
    finally:
        down = Command(["down", RUN], tmp_path)
        assert down.finish() == 0, down.output
    assert left_over(engine, RUN) == []
