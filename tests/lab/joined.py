"""Several lab hosts in miniature: namespaces on one network, in which agents join the devices of a run, without Docker.

Everything lives in nameless namespaces that end with the test.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fedsim_runner.agent.host import programs
from fedsim_runner.agent.host.network_container import Namespace, namespace_number
from fedsim_runner.agent.kernel import netns
from fedsim_runner.agent.lab_network.lab_network import LabNetwork
from fedsim_runner.agent.links import probe
from fedsim_runner.agent.links.run_links import RunLinks
from fedsim_runner.agent.run_settings import RunSettings, read_run_settings
from fedsim_runner.contract.agent_calls import LinksAnswer
from fedsim_runner.contract.device_file import DeviceFile, Lab, LabMember, Peer
from fedsim_runner.contract.events import Event
from fedsim_runner.contract.lab_network import PORT, Settled, settle
from fedsim_runner.contract.link import Links
from tests.device_files import device, device_file
from tests.lab.rig import SO_RCVBUFFORCE, end, hold_namespace

SUBNET = "198.19.250.0/24"


@dataclass
class Container:
    """What holds the run's network: a process in a namespace, as the Engine's container is one."""

    process: subprocess.Popen[bytes]
    name: str = "network"

    @property
    def namespace(self) -> Namespace:
        path = netns.of_process(self.process.pid)
        number = namespace_number(path)
        assert number is not None
        return Namespace(path, number)

    def failure(self) -> str | None:
        return None


@dataclass
class Host:
    """A lab host with the devices that it carries.

    Attributes:
        own: the process in the lab host's namespace.
        devices: by name, the process in each device's.
        events: what its agent has recorded.
    """

    name: str
    address: str
    settings: RunSettings
    own: subprocess.Popen[bytes]
    container: Container
    devices: dict[str, subprocess.Popen[bytes]]
    links: RunLinks
    lab_network: LabNetwork
    events: list[Event]

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        with netns.inside(netns.of_process(self.own.pid)):
            yield

    @contextlib.contextmanager
    def inside_device(self, name: str) -> Iterator[None]:
        with netns.inside(netns.of_process(self.devices[name].pid)):
            yield

    @contextlib.contextmanager
    def inside_run(self) -> Iterator[None]:
        with netns.inside(self.container.namespace.path):
            yield

    def join(self, settled: Settled, port: int = PORT) -> list[str]:
        with self.inside():
            return self.lab_network.join(self.settings, settled, port, False)

    def apply(self) -> LinksAnswer:
        with self.inside():
            self.lab_network.measure(self.settings)
        running = {name: process.pid for name, process in self.devices.items()}
        answer = self.links.apply(self.settings, list(running), running, False)
        failed = {name: one["failed"] for name, one in answer["devices"].items()}
        assert failed == dict.fromkeys(failed), failed
        return answer


@dataclass
class Hosts:
    """Lab hosts by name, on one network with an MTU."""

    run: str
    lab: Lab
    lan: subprocess.Popen[bytes]
    hosts: dict[str, Host] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def settle(self) -> Settled:
        offers = []
        for host in self.hosts.values():
            with host.inside():
                offers.append(host.lab_network.offer(host.settings))
        return settle(self.run, self.lab, offers)

    def up(self) -> Settled:
        """Join all lab hosts and bring all links into force."""
        settled = self.settle()
        for host in self.hosts.values():
            host.join(settled)
        for host in self.hosts.values():
            host.apply()
        return settled

    def host_of(self, device: str) -> Host:
        return next(host for host in self.hosts.values() if device in host.devices)

    def udp(self, name: str) -> socket.socket:
        """A UDP socket in a device, bound to its address."""
        with self.host_of(name).inside_device(name):
            channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        channel.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 22)
        channel.bind((self.addresses[name], 0))
        channel.settimeout(2)
        return channel

    def one_way_s(self, source: str, target: str, count: int = 1, size: int = 20) -> list[tuple[float, str]]:
        """Seconds until each packet arrived, and the address that it came from; lost ones are left out."""
        found = []
        with self.udp(source) as sender, self.udp(target) as receiver:
            for _ in range(count):
                started = time.monotonic()
                sender.sendto(bytes(size), receiver.getsockname())
                try:
                    _, (address, _) = receiver.recvfrom(2048)
                except TimeoutError:
                    continue
                found.append((time.monotonic() - started, address))
        return found


@contextlib.contextmanager
def joined(
    folder: Path,
    carried: Mapping[str, Sequence[str]],
    links: Mapping[str, Links] | None = None,
    run: str = "study",
    mtu: int = 1500,
    changed: Callable[[DeviceFile], DeviceFile] = lambda found: found,
    on: Hosts | None = None,
    encrypt: bool = False,
) -> Iterator[Hosts]:
    """Lab hosts that carry these devices, of which the first is the server; nothing is joined yet.

    Args:
        folder: for device files.
        carried: names of the devices by lab host.
        links: of devices that have one.
        run: the run's id.
        mtu: of the network between the lab hosts.
        changed: makes of each device file what the agent reads.
        on: the same lab hosts as those of another run.
        encrypt: what passes between lab hosts is encrypted.
    """
    names = [name for devices in carried.values() for name in devices]
    made = {
        name: device(
            name,
            "client" if number else "server",
            number,
            address=f"198.19.250.{number + 1}",
            link=(links or {}).get(name, device(name).link),
        )
        for number, name in enumerate(names)
    }
    members = tuple(LabMember(name, f"198.19.251.{number + 1}") for number, name in enumerate(carried))
    lab = Lab(
        hosts=members, server=next(name for name, devices in carried.items() if names[0] in devices), encrypt=encrypt
    )
    probed = probe.probe()
    with contextlib.ExitStack() as stack:

        def hold() -> subprocess.Popen[bytes]:
            process = hold_namespace()
            stack.callback(end, process)
            return process

        hosts = Hosts(run, lab, on.lan if on else hold(), addresses={name: one.address for name, one in made.items()})
        if on is None:
            _make_switch(hosts.lan, mtu)
        for member in members:
            own = on[member.name].own if on else hold()
            if on is None:
                _ip(own, f"link add eth0 mtu {mtu} type veth peer name {member.name} netns {hosts.lan.pid}")
                _ip(own, "link set lo up", f"addr add {member.address}/24 dev eth0", "link set eth0 up")
                _ip(hosts.lan, f"link set {member.name} mtu {mtu} master lan up")
            here = carried[member.name]
            found = replace(
                device_file(*(made[name] for name in here)),
                run=run,
                lab_host=member.name,
                clients=tuple(names[1:]),
                peers={
                    made[name].address: Peer(name, made[name].link, lab_host=other)
                    for other, devices in carried.items()
                    if other != member.name
                    for name in devices
                },
                lab=lab,
            )
            found = replace(found, course=replace(found.course, server=names[0], client_num=len(names) - 1))
            path = folder / f"{run}-{member.name}.json"
            path.write_text(changed(found).as_text())
            settings = read_run_settings(path)
            container, events = Container(hold()), list[Event]()
            run_links = RunLinks(_as_any(container), settings.link_backend, probed, events.append)
            memory = folder / f"{run}-{member.name}-memory.json"
            underlay = netns.of_process(own.pid)
            lab_network = LabNetwork(run, _as_any(container), run_links, memory, events.append, underlay)
            stack.callback(run_links.stop)
            stack.callback(lab_network.close)
            devices = {name: hold() for name in here}
            hosts.hosts[member.name] = Host(
                member.name, member.address, settings, own, container, devices, run_links, lab_network, events
            )
        yield hosts


def _make_switch(process: subprocess.Popen[bytes], mtu: int) -> None:
    """The network between the lab hosts. A switch asks no packet filter, as a bridge may where an Engine runs."""
    with netns.inside(netns.of_process(process.pid)):
        for setting in Path("/proc/sys/net/bridge").glob("bridge-nf-call-*"):
            setting.write_text("0")
    _ip(process, "link add lan type bridge", f"link set lan mtu {mtu} up")


def _ip(process: subprocess.Popen[bytes], *commands: str) -> None:
    with netns.inside(netns.of_process(process.pid)):
        for command in commands:
            programs.run(["ip", *command.split()])


def _as_any(value: object) -> Any:
    return value
