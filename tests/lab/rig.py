"""A lab host in miniature: network namespaces on a bridge, as Docker would connect devices, without Docker.

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

from fedsim_runner.agent.host import programs
from fedsim_runner.agent.links import netns
from fedsim_runner.agent.links.profile import DeviceLink
from fedsim_runner.contract.link import Link

PORT = 5000


@dataclass
class Rig:
    """Devices by name; the calling thread is in the host's namespace."""

    addresses: dict[str, str] = field(default_factory=dict)
    holders: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def namespaces(self) -> dict[str, str]:
        return {name: netns.of_process(holder.pid) for name, holder in self.holders.items()}

    def add(self, name: str) -> None:
        """Add a device: a namespace with eth0, whose other end is a port of the bridge."""
        number = len(self.addresses) + 2
        address = self.addresses.setdefault(name, f"198.18.0.{number}")
        with netns.scratch():
            holder = subprocess.Popen(["sleep", "600"])
        self.holders[name] = holder
        port = f"p{address.rsplit('.', 1)[1]}"
        programs.run(["ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid)])
        programs.run(["ip", "link", "set", port, "master", "br0", "up"])
        with netns.inside(self.namespaces[name]):
            programs.run(["ip", "addr", "add", f"{address}/24", "dev", "eth0"])
            programs.run(["ip", "link", "set", "eth0", "up"])

    def remove(self, name: str) -> None:
        """End the device's namespace and its veth pair."""
        # The kernel ends a namespace some time later, so remove the pair first, as Docker does.
        programs.run(["ip", "link", "del", f"p{self.addresses[name].rsplit('.', 1)[1]}"])
        holder = self.holders.pop(name)
        holder.kill()
        holder.wait()

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
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        channel.bind((self.addresses[name], PORT))
        return channel

    def one_way_s(self, source: str, target: str, count: int = 15, gap_s: float = 0.01) -> list[float]:
        """Seconds from sending to receiving small packets, in order of arrival; lost ones are left out."""
        with self.udp(source) as sender, self.udp(target) as receiver:
            # Resolve the neighbour first, so that it is not measured.
            sender.sendto(b"first", (self.addresses[target], PORT))
            receiver.settimeout(2)
            with contextlib.suppress(TimeoutError):
                receiver.recv(64)
            times: list[float] = []
            receiver.settimeout(1)
            for number in range(count):
                sender.sendto(str(number).encode(), (self.addresses[target], PORT))
                started = time.monotonic()
                try:
                    receiver.recv(64)
                except TimeoutError:
                    continue
                times.append(time.monotonic() - started)
                time.sleep(gap_s)
            return times

    def burst(self, source: str, target: str, count: int, size: int, rate_bps: float) -> list[tuple[float, int]]:
        """Send numbered packets at a rate; return (time of arrival, number) of each that arrived."""
        arrived: list[tuple[float, int]] = []
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
                while sent < count and started + sent * (size + 42) * 8 / rate_bps <= now:
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
        return arrived


@contextlib.contextmanager
def rig(*names: str) -> Iterator[Rig]:
    """A bridge and the named devices in a scratch namespace of the calling thread."""
    lab = Rig()
    with netns.scratch():
        try:
            programs.run(["ip", "link", "add", "br0", "type", "bridge"])
            programs.run(["ip", "link", "set", "br0", "up"])
            for name in names:
                lab.add(name)
            yield lab
        finally:
            for name in list(lab.holders):
                lab.remove(name)
