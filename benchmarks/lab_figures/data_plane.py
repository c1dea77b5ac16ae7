"""The network between lab hosts: how long it takes to make, what it leaves of throughput and adds to round trips."""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from fedsim_runner.agent.kernel import netns
from fedsim_runner.contract.congestion_control import USUAL
from fedsim_runner.contract.lab_network import Offer, settle
from tests.lab.joined import Host, Hosts, joined

from ..tables import Limit, print_limits, print_table

CARRIED = {"north": ["server"], "south": ["client"], "west": ["other"]}
#: Set-up of three lab hosts, in seconds; the least of raw TCP throughput; what may be added to a round trip, in ms.
MOST_SETUP_S, LEAST_TCP, MOST_ADDED_MS = 1.0, 0.6, 0.15
_ECHOES = 2_000
_UDP_BYTES = 1_200
_CHUNK = bytes(1 << 20)
#: That of a run's devices, on both paths: with one that paces, as a machine may have by default, what passes in a
#: second is its estimate, which differs by half from second to second on a path as fast as these.
_CONGESTION_CONTROL = USUAL.encode()
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Ends:
    """Two namespaces, and the address of the second."""

    sender: str
    receiver: str
    address: str


_Send = Callable[[Ends, int, float], None]
_Receive = Callable[[Ends, Connection, float], None]


@dataclass
class Found:
    """What was measured of one kind of path: Mbit/s, and round trips in ms."""

    tcp: list[float] = field(default_factory=list)
    udp: list[float] = field(default_factory=list)
    rtt: list[float] = field(default_factory=list)


def measure(seconds: float, pairs: int) -> int:
    """Measure and print; return the exit code."""
    with tempfile.TemporaryDirectory() as folder, joined(Path(folder), CARRIED) as hosts:
        setup_s = _set_up(hosts)
        north, south = hosts["north"], hosts["south"]
        paths = {
            "lab host to lab host": Ends(_of(south), _of(north), north.address),
            "device to device": Ends(
                netns.of_process(south.devices["client"].pid),
                netns.of_process(north.devices["server"].pid),
                hosts.addresses["server"],
            ),
        }
        found = {name: Found() for name in paths}
        for _ in range(pairs):
            for name, ends in paths.items():
                found[name].tcp.append(_throughput(ends, seconds, _send_tcp, _receive_tcp))
                found[name].udp.append(_throughput(ends, seconds, _send_udp, _receive_udp))
                found[name].rtt.append(_round_trip_ms(ends))
    raw, through = found.values()
    print_table(
        f"the network between lab hosts: medians of {pairs} interleaved pairs, {seconds:g} s each",
        ("path", "TCP Mbit/s", f"UDP {_UDP_BYTES} B Mbit/s", "round trip ms"),
        [(name, *(statistics.median(values) for values in (one.tcp, one.udp, one.rtt))) for name, one in found.items()],
    )
    share = statistics.median(one / other for one, other in zip(through.tcp, raw.tcp, strict=True))
    added = statistics.median(through.rtt) - statistics.median(raw.rtt)
    print(f"TCP: {share:.2f} of raw (median of pairs), which has to be {LEAST_TCP:g} or more")
    limits = [
        Limit("joining three lab hosts", setup_s, MOST_SETUP_S, " s"),
        Limit("added to a round trip", added, MOST_ADDED_MS, " ms"),
        Limit("raw TCP throughput for that of devices", 1 / share, 1 / LEAST_TCP, "x"),
    ]
    print_limits(limits)
    return int(any(limit.value is not None and limit.value > limit.most for limit in limits))


def _set_up(hosts: Hosts) -> float:
    """Join the lab hosts as their agents do, all at once; return the seconds that it took, links left out."""

    def offer(host: Host) -> Offer:
        with host.inside():
            return host.lab_network.offer(host.settings)

    def reach(host: Host) -> None:
        with host.inside():
            host.lab_network.measure(host.settings)

    every = list(hosts.hosts.values())
    with ThreadPoolExecutor(len(every)) as pool:
        begun = time.monotonic()
        settled = settle(hosts.run, hosts.lab, list(pool.map(offer, every)))
        list(pool.map(lambda host: host.join(settled), every))
        list(pool.map(reach, every))
        seconds = time.monotonic() - begun
    for host in every:
        host.apply()
    return seconds


def _of(host: Host) -> str:
    return netns.of_process(host.own.pid)


def _throughput(ends: Ends, seconds: float, send: _Send, receive: _Receive) -> float:
    """Mbit/s that arrive, from one process to another."""
    reader, writer = _FORK.Pipe(duplex=False)
    receiver = _FORK.Process(target=receive, args=(ends, writer, seconds))
    receiver.start()
    port = reader.recv()
    sender = _FORK.Process(target=send, args=(ends, port, seconds))
    sender.start()
    mbit_s: float = reader.recv()
    for process in (sender, receiver):
        process.join()
    return mbit_s


def _receive_tcp(ends: Ends, writer: Connection, seconds: float) -> None:
    with netns.inside(ends.receiver), socket.create_server((ends.address, 0)) as listener:
        writer.send(listener.getsockname()[1])
        connection, _ = listener.accept()
        buffer = bytearray(len(_CHUNK))
        got, begun = 0, time.monotonic()
        with connection:
            while count := connection.recv_into(buffer):
                got += count
        writer.send(got * 8e-6 / (time.monotonic() - begun))


def _send_tcp(ends: Ends, port: int, seconds: float) -> None:
    with netns.inside(ends.sender), socket.socket() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, _CONGESTION_CONTROL)
        connection.connect((ends.address, port))
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            connection.sendall(_CHUNK)


def _receive_udp(ends: Ends, writer: Connection, seconds: float) -> None:
    with netns.inside(ends.receiver), _bound(ends.address) as channel:
        writer.send(channel.getsockname()[1])
        channel.settimeout(1.0)
        got, begun, last = 0, 0.0, 0.0
        with contextlib.suppress(TimeoutError):
            channel.recv(2048)
            begun = time.monotonic()
            while True:
                got += len(channel.recv(2048))
                last = time.monotonic()
        writer.send(got * 8e-6 / (last - begun))


def _send_udp(ends: Ends, port: int, seconds: float) -> None:
    with netns.inside(ends.sender), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.connect((ends.address, port))
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for _ in range(64):
                channel.send(_CHUNK[:_UDP_BYTES])


def _round_trip_ms(ends: Ends) -> float:
    """The median of UDP echoes, which a process answers."""
    times = []
    with _echoing(ends) as port, netns.inside(ends.sender), socket.socket(type=socket.SOCK_DGRAM) as channel:
        channel.connect((ends.address, port))
        channel.settimeout(1.0)
        for _ in range(_ECHOES):
            begun = time.monotonic()
            channel.send(b"x")
            channel.recv(9)
            times.append(time.monotonic() - begun)
    return statistics.median(times) * 1e3


@contextlib.contextmanager
def _echoing(ends: Ends) -> Iterator[int]:
    reader, writer = _FORK.Pipe(duplex=False)

    def answer() -> None:
        with netns.inside(ends.receiver), _bound(ends.address) as channel:
            writer.send(channel.getsockname()[1])
            while True:
                channel.sendto(*channel.recvfrom(9))

    process = _FORK.Process(target=answer)
    process.start()
    try:
        yield reader.recv()
    finally:
        process.kill()
        process.join()


def _bound(address: str) -> socket.socket:
    channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    channel.bind((address, 0))
    return channel
