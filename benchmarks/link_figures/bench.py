"""Two devices in namespaces, one of them behind the link that is measured, and how packets are sent between them."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fedsim_runner.agent.kernel import netns
from fedsim_runner.agent.links import backends, probe
from fedsim_runner.agent.links.profile import DeviceLink, Profile
from fedsim_runner.agent.links.shaping.shaper import Shaper
from fedsim_runner.contract.link import Link, Links
from fedsim_runner.contract.queue_size import FRAME_BYTES
from tests.lab.rig import SO_RCVBUFFORCE, Rig, rig

from .children import fork
from .rows import BOTH, Row

WAYS = ("up", "down")
HEADERS = 42  # Ethernet, IPv4, UDP
FULL_BYTES = FRAME_BYTES - HEADERS
PORT = 5100
_RECORD = struct.Struct("=Iqq")  # number, nanoseconds when sent, nanoseconds when received
_RECEIVE_BYTES = 64 << 20
_QUIET_S = 3.0  # without a packet, beyond the delay, nothing more arrives
_RETRY_S, _RETRIES = 0.2, 50
# A process that another thread starts has all sockets for a moment, and no address of theirs can be taken again.
_starting = threading.Lock()


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
        side: str = BOTH,
    ) -> Row:
        return Row(self.profile, self.backend, way, figure, unit, asked, got, most, side)

    def train(self, way: str, count: int, size: int, gap_s: float) -> list[Arrival]:
        """Send numbered packets from a process of its own; return those that arrive, in this order.

        Both ends stamp by one clock, before sending and after receiving, and run before what else computes.

        Args:
            count: packets.
            size: bytes of payload, at least 12.
            gap_s: seconds between two of them.
        """
        source, target = self.ends(way)
        quiet_s = _QUIET_S + 4 * gap_s + self.link(way).delay_us / 1e6
        # In user space not the kernel's stamp: it is of the moment before a packet waits for the packet process.
        of_kernel = "0" if self.backend == "userspace" else "1"
        port = PORT + WAYS.index(way)  # the two ways at once, too
        with self._udp(target, port) as receiver, self._udp(source, port) as sender:
            sender.connect((self.lab.addresses[target], port))
            receiving = _start(receiver, "receive", count, round(1e3 * quiet_s), of_kernel, stdout=subprocess.PIPE)
            sending = _start(sender, "send", count, size, round(1e9 * gap_s))
            data, _ = receiving.communicate()
            assert sending.wait() == receiving.returncode == 0
        found = _RECORD.iter_unpack(data)
        return [Arrival(number, (at_ns - sent_ns) / 1e9, at_ns / 1e9) for number, sent_ns, at_ns in found]

    def wait_until_connected(self) -> None:
        """Wait until a packet arrives: the kernel has a bridge's new ports pass packets up to a second later."""
        with self._udp("server", PORT) as receiver, self._udp("device", PORT) as sender:
            receiver.settimeout(_RETRY_S + (self.links.up.delay_us + self.links.up.jitter_us) / 1e6)
            for _ in range(_RETRIES):
                sender.sendto(b"first", (self.lab.addresses["server"], PORT))
                with contextlib.suppress(TimeoutError):
                    receiver.recv(64)
                    return
        raise TimeoutError("no packet passes the link")

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
                children = [fork(lambda: _fill(sender)), fork(lambda: _drain(receiver))]
                try:
                    yield sender
                finally:
                    for child in children:
                        os.kill(child, signal.SIGKILL)
                        os.waitpid(child, 0)

    def _udp(self, name: str, port: int) -> socket.socket:
        with netns.inside(self.lab.namespaces[name]):
            channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        channel.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, _RECEIVE_BYTES)
        with _starting:
            channel.bind((self.lab.addresses[name], port))
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
            made = Bench(lab, shaper, profile, chosen, links, seconds)
            made.wait_until_connected()
            yield made
        finally:
            shaper.stop()


def in_user_mode() -> bool:
    """Whether this kernel is a user-mode Linux, whose one processor also is what sends and receives."""
    return "User Mode Linux" in Path("/proc/cpuinfo").read_text(encoding="utf-8")


def _fill(sender: socket.socket) -> None:
    while True:
        sender.sendall(bytes(1 << 16))


def _drain(receiver: socket.socket) -> None:
    while receiver.recv(1 << 18):
        pass


def _start(channel: socket.socket, *words: object, stdout: int | None = None) -> subprocess.Popen[bytes]:
    """Start the program that sends or receives over this channel."""
    action, *rest = map(str, words)
    with _starting:
        arguments = [str(_program()), action, str(channel.fileno()), *rest]
        return subprocess.Popen(arguments, pass_fds=[channel.fileno()], stdout=stdout)


@functools.cache
def _program() -> Path:
    """The program, compiled.

    Raises:
        OSError, CalledProcessError: there is no C compiler.
    """
    folder = Path(tempfile.mkdtemp(prefix="fedsim-links-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    subprocess.run(["cc", "-O2", "-o", folder / "train", Path(__file__).with_name("train.c")], check=True)
    return folder / "train"
