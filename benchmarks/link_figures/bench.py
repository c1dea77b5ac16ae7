"""Two devices in namespaces, one of them behind the link that is measured, and how packets are sent between them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fedsim_runner.agent.links import backends, counters, netns, probe
from fedsim_runner.agent.links.profile import DeviceLink, Profile
from fedsim_runner.agent.links.shaper import Shaper
from fedsim_runner.contract.link import Link, Links
from fedsim_runner.contract.queue_size import FRAME_BYTES
from tests.lab.rig import SO_RCVBUFFORCE, Rig, rig

from .rows import Row

WAYS = ("up", "down")
HEADERS = 42  # Ethernet, IPv4, UDP
FULL_BYTES = FRAME_BYTES - HEADERS
PORT = 5100
_STAMP = struct.Struct("=Iq")  # number, nanoseconds
_SO_TIMESTAMPNS = 35
_TIME = struct.Struct("=qq")
_RECEIVE_BYTES = 64 << 20
_LAST_S = 2.0  # after the last packet was sent, beyond the delay, nothing more arrives


@dataclass(frozen=True)
class Arrival:
    """A packet that arrived: its number, its delay, and when, both in seconds."""

    number: int
    delay_s: float
    at_s: float


@dataclass(frozen=True)
class Bench:
    """A device with the links under test, and a server without a limit.

    Attributes:
        profile: the links' name.
        seconds: how long a figure that needs a mean over time may send.
    """

    lab: Rig
    shaper: Shaper
    profile: str
    backend: str
    links: Links
    seconds: float

    def link(self, way: str) -> Link:
        return self.links.up if way == "up" else self.links.down

    def ends(self, way: str) -> tuple[str, str]:
        """The device that sends, and the one that receives."""
        return ("device", "server") if way == "up" else ("server", "device")

    def row(
        self,
        way: str,
        figure: str,
        unit: str,
        asked: float,
        got: float,
        most: float | None = None,
        one_sided: bool = False,
    ) -> Row:
        return Row(self.profile, self.backend, way, figure, unit, asked, got, most, one_sided)

    def train(self, way: str, count: int, size: int, gap_s: float) -> list[Arrival]:
        """Send numbered packets from a process of its own; return those that arrive, in this order.

        Both ends stamp by one clock: the sender before it sends, the receiver's kernel when it receives.

        Args:
            count: packets.
            size: bytes of payload, at least 12.
            gap_s: seconds between two of them.
        """
        source, target = self.ends(way)
        arrived: list[Arrival] = []
        with self._udp(target) as receiver, self._udp(source) as sender:
            receiver.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            sender.connect((self.lab.addresses[target], PORT))
            child = _fork(lambda: _send(sender, count, size, gap_s))
            receiver.settimeout(0.2)
            ended_at: float | None = None
            while ended_at is None or time.monotonic() < ended_at + _LAST_S + self.link(way).delay_us / 1e6:
                if ended_at is None and os.waitpid(child, os.WNOHANG)[0]:
                    ended_at = time.monotonic()
                with contextlib.suppress(TimeoutError):
                    arrived.append(_receive(receiver))
                if len(arrived) == count:
                    break
            if ended_at is None:
                os.waitpid(child, 0)
        return arrived

    @contextlib.contextmanager
    def flow(self, way: str, control: str = "cubic") -> Iterator[socket.socket]:
        """A TCP flow that never ends, from a process of its own under this congestion control: the sender's end."""
        source, target = self.ends(way)
        with netns.inside(self.lab.namespaces[target]):
            listener = socket.create_server((self.lab.addresses[target], PORT))
        with netns.inside(self.lab.namespaces[source]):
            sender = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, control.encode())
        with listener, sender:
            sender.connect((self.lab.addresses[target], PORT))
            receiver, _ = listener.accept()
            with receiver:
                children = [_fork(lambda: _fill(sender)), _fork(lambda: _drain(receiver))]
                try:
                    yield sender
                finally:
                    for child in children:
                        os.kill(child, signal.SIGKILL)
                        os.waitpid(child, 0)

    def received_bytes(self, way: str) -> int:
        """What the receiver's interface has received so far, with Ethernet headers."""
        _, target = self.ends(way)
        found = counters.read(Path(f"/proc/{self.lab.holders[target].pid}/net/dev").read_text(encoding="ascii"))
        assert found is not None
        return int(found[0])

    def _udp(self, name: str) -> socket.socket:
        with netns.inside(self.lab.namespaces[name]):
            channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        channel.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, _RECEIVE_BYTES)
        channel.bind((self.lab.addresses[name], PORT))
        return channel


@contextlib.contextmanager
def bench(profile: str, links: Links, backend: str, seconds: float) -> Iterator[Bench]:
    """Make the devices and bring their links into force.

    Raises:
        UnshapableError: the back end cannot shape them on this kernel.
    """
    probed = probe.probe()
    with rig("server", "device") as lab:
        requested = [
            DeviceLink("server", lab.addresses["server"], Link(), Link()),
            DeviceLink("device", lab.addresses["device"], links.up, links.down),
        ]
        wanted = Profile(requested, seed=1, server="server")
        chosen = backends.choose(backend, wanted, probed)
        shaper = Shaper([kind(probed) for kind in backends.load_all()], lab.network, wanted, chosen)
        try:
            results = shaper.apply(lab.namespaces)
            assert all(result.failed is None for result in results.values()), results
            yield Bench(lab, shaper, profile, chosen, links, seconds)
        finally:
            shaper.stop()


def _fork(work: Callable[[], None]) -> int:
    """Do the work in another process, whose id is returned."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            work()
        os._exit(0)
    return child


def _fill(sender: socket.socket) -> None:
    while True:
        sender.sendall(bytes(1 << 16))


def _drain(receiver: socket.socket) -> None:
    while receiver.recv(1 << 18):
        pass


def _send(sender: socket.socket, count: int, size: int, gap_s: float) -> None:
    padding = bytes(size - _STAMP.size)
    started = time.monotonic()
    for number in range(count):
        wait = started + number * gap_s - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        with contextlib.suppress(OSError):  # a full buffer of the sender's is a drop, as any other
            sender.send(_STAMP.pack(number, time.time_ns()) + padding)


def _receive(receiver: socket.socket) -> Arrival:
    data, ancillary, _, _ = receiver.recvmsg(2048, 128)
    number, sent_ns = _STAMP.unpack_from(data)
    seconds, nanoseconds = _TIME.unpack_from(ancillary[0][2])
    at_ns = seconds * 1_000_000_000 + nanoseconds
    return Arrival(number, (at_ns - sent_ns) / 1e9, at_ns / 1e9)
