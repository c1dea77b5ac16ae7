"""A lab host in miniature: a run's network namespace, and one for each device, without Docker.

Everything lives in nameless namespaces that end with the test. Addresses are from 198.18.0.0/15, the range set aside
for testing.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fedsim_runner.agent.kernel import netns
from fedsim_runner.agent.links import backends
from fedsim_runner.agent.links.network.run_namespace import RunNamespace
from fedsim_runner.agent.links.profile import DeviceLink, Profile
from fedsim_runner.agent.links.shaping.shaper import Shaper
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.topology import Topology

MBIT = 1_000_000
# For two cores shared with other work: medians differ by a fraction of this.
SLACK_S = 0.004
PORT = 5000
SO_RCVBUFFORCE = 33  # of Linux: as SO_RCVBUF, but beyond the host's limit
AT_ONCE = 32  # packets that a burst sends before it looks for those that have arrived
CATCH_UP_S = 0.005  # of a pause that the machine's other work made, the most that a steady burst makes up for


@dataclass
class Rig:
    """Devices by name, which nothing connects yet, and the run's network."""

    network: RunNamespace
    addresses: dict[str, str] = field(default_factory=dict)
    holders: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def namespaces(self) -> dict[str, str]:
        return {name: netns.of_process(holder.pid) for name, holder in self.holders.items()}

    def add(self, name: str) -> None:
        """Add a device: a namespace."""
        self.addresses.setdefault(name, f"198.18.0.{len(self.addresses) + 2}")
        self.holders[name] = hold_namespace()

    def remove(self, name: str) -> None:
        """End the device's namespace; the kernel does so some time later."""
        end(self.holders.pop(name))

    def links(self, up: Link | None = None, down: Link | None = None, device: str = "a") -> list[DeviceLink]:
        """Requested links: the given ones for ``device``, none for the others."""
        unshaped = Link()
        return [
            DeviceLink(name, address, (name == device and up) or unshaped, (name == device and down) or unshaped)
            for name, address in self.addresses.items()
        ]

    def udp(self, name: str, *, buffer: int = 1 << 22) -> socket.socket:
        """A UDP socket in the device's namespace, bound to its address."""
        with netns.inside(self.namespaces[name]):
            channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        channel.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, buffer)
        channel.bind((self.addresses[name], PORT))
        return channel

    def drop_arrivals(self, name: str) -> None:
        """Have the device's own firewall drop what arrives."""
        with netns.inside(self.namespaces[name]):
            subprocess.run(["iptables", "-A", "INPUT", "-j", "DROP"], check=True)

    def one_way_s(self, source: str, target: str, count: int = 15, gap_s: float = 0.01, size: int = 0) -> list[float]:
        """Seconds from sending to receiving packets, in order of arrival; lost ones are left out.

        Args:
            size: bytes that each carries at least.
        """
        with self.udp(source) as sender, self.udp(target) as receiver:
            # Resolve the neighbour first, so that it is not measured.
            sender.sendto(b"first", (self.addresses[target], PORT))
            receiver.settimeout(2)
            with contextlib.suppress(TimeoutError):
                receiver.recv(64)
            times: list[float] = []
            receiver.settimeout(1)
            for number in range(count):
                # Before sending: a packet may seem late where this process has to wait, but never early.
                started = time.monotonic()
                sender.sendto(str(number).encode().ljust(size, b"."), (self.addresses[target], PORT))
                try:
                    receiver.recv(2048)
                except TimeoutError:
                    continue
                times.append(time.monotonic() - started)
                time.sleep(gap_s)
            return times

    def burst(
        self, source: str, target: str, count: int, size: int, rate_bps: float, *, steady: bool = False
    ) -> list[tuple[float, int]]:
        """Send numbered packets at a rate; return (time of arrival, number) of each that arrived.

        Args:
            steady: never faster for a while, even if the machine's other work has made it pause.
        """
        return self._burst(source, target, count, size, rate_bps, steady)[0]

    def dense_s(self, source: str, target: str, count: int, size: int, rate_bps: float) -> list[float]:
        """Seconds from sending to receiving the packets of a burst, in order of arrival."""
        arrived, sent_at = self._burst(source, target, count, size, rate_bps, True)
        return [moment - sent_at[number] for moment, number in arrived]

    def _burst(
        self, source: str, target: str, count: int, size: int, rate_bps: float, steady: bool
    ) -> tuple[list[tuple[float, int]], list[float]]:
        """A burst's arrivals, and when each of its packets was sent."""
        arrived: list[tuple[float, int]] = []
        sent_at: list[float] = []
        with self.udp(source) as sender, self.udp(target) as receiver:
            sender.sendto(b"0", (self.addresses[target], PORT))
            receiver.settimeout(2)
            with contextlib.suppress(TimeoutError):
                receiver.recv(64)
            receiver.setblocking(False)
            started = time.monotonic()
            last = started
            sent = 0
            while time.monotonic() - last < 1.0:
                now = time.monotonic()
                if steady:
                    started = max(started, now - sent * (size + 42) * 8 / rate_bps - CATCH_UP_S)
                # Few at a time: those that are due after a pause would overrun the buffer of the receiver.
                most = min(count, sent + AT_ONCE)
                while sent < most and started + sent * (size + 42) * 8 / rate_bps <= now:
                    sent_at.append(time.monotonic())
                    sender.sendto(sent.to_bytes(4) + bytes(size - 4), (self.addresses[target], PORT))
                    sent += 1
                    last = now
                try:
                    while True:
                        data = receiver.recv(2048)
                        last = time.monotonic()
                        arrived.append((last, int.from_bytes(data[:4])))
                except BlockingIOError:
                    time.sleep(0.0002)
        return arrived, sent_at


def hold_namespace() -> subprocess.Popen[bytes]:
    """A process in a new namespace."""
    with netns.scratch():
        return subprocess.Popen(["sleep", "600"])


def end(holder: subprocess.Popen[bytes]) -> None:
    holder.kill()
    holder.wait()


@contextlib.contextmanager
def rig(*names: str) -> Iterator[Rig]:
    """The run's network and the named devices."""
    network = hold_namespace()
    lab = Rig(RunNamespace(netns.of_process(network.pid)))
    try:
        for name in names:
            lab.add(name)
        yield lab
    finally:
        for name in list(lab.holders):
            lab.remove(name)
        end(network)


@contextlib.contextmanager
def shaped(
    lab: Rig, links: list[DeviceLink], backend: str, probed: dict[str, Any], topology: Topology | None = None
) -> Iterator[Shaper]:
    profile = Profile(links, seed=1, server="a", topology=topology)
    shaper = Shaper([kind(probed) for kind in backends.load_all()], lab.network, profile, backend)
    try:
        yield shaper
    finally:
        shaper.stop()


def apply(shaper: Shaper, lab: Rig, **kind: bool) -> dict[str, Any]:
    results = {name: result.as_dict() for name, result in shaper.apply(lab.namespaces, **kind).items()}
    assert all(result["failed"] is None for result in results.values()), results
    return results
