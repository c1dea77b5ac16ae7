"""How a run's devices are wired on one lab host: names, MAC addresses, neighbours and bridges. Pure.

Everything follows from the devices' addresses and their order, so that any agent of the run finds the same. Devices of
a partition are ports of bridges of their own, which nothing connects to the others; one that is offline is none of any.
Where a link back end keeps devices apart itself, ports stay where they are. Devices for which a bridge has no port left
are at further bridges, which are connected to it.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fedsim_runner.contract.lab_network import MTU

from ..profile import DeviceLink, Profile
from .ways import Ways, neighbours_of, plan_ways

#: Devices and edges at a bridge. A Linux bridge has 1023 ports; the rest are for those that lead to other bridges.
PORTS_PER_BRIDGE = 1000
_FURTHER = string.ascii_lowercase[:22]
#: The most devices of a run on a lab host: there are ports for them also if all are at one site that has many edges.
MOST_DEVICES = PORTS_PER_BRIDGE * len(_FURTHER)
#: What the name of a VXLAN device begins with, and no other port's.
VXLAN_PREFIX = "x"


@dataclass(frozen=True)
class Interface:
    """A device's interface: MAC address, IP addresses with their prefix lengths, and the largest packet."""

    mac: str
    addresses: tuple[str, ...]
    up: bool = True
    mtu: int = MTU

    def __str__(self) -> str:
        shown = ", ".join(self.addresses) or "no address"
        size = "" if self.mtu == MTU else f", MTU {self.mtu}"
        return f"{shown}, {self.mac}{size}{'' if self.up else ', down'}"


@dataclass(frozen=True)
class Neighbours:
    """The neighbours that a device knows without asking: MAC addresses by IP address.

    In a course the server exchanges messages with all clients, and a client with the server, unless other devices lie
    between.
    """

    macs: Mapping[str, str]

    def __str__(self) -> str:
        if not self.macs:
            return "none"
        known = sorted(self.macs, key=ipaddress.IPv4Address)
        return f"{known[0]} {self.macs[known[0]]}" if len(known) == 1 else f"{len(known)}, {known[0]} to {known[-1]}"


@dataclass(frozen=True)
class Wire:
    """A device's connection to the run's network.

    Attributes:
        end: name of the veth on the lab host's side, in the run's namespace.
        bridge: the bridge that it is a port of; None: of none, so nothing passes.
        ways: how it reaches those that are not its neighbours; None: all are.
    """

    end: str
    interface: Interface
    neighbours: Neighbours
    bridge: str | None
    ways: Ways | None = None


def plan_wires(profile: Profile, by_site: bool = False) -> dict[str, Wire]:
    """The wire of each device on this lab host.

    Args:
        profile: the devices.
        by_site: each site has a bridge of its own.
    """
    bridges = _bridges(profile, by_site)
    server = {device.address: mac_address(device.address) for device in profile.all_devices if _serves(device, profile)}
    clients = {device.address: mac_address(device.address) for device in profile.all_devices}
    for address in server:
        del clients[address]
    ways, neighbours = plan_ways(profile), neighbours_of(profile)

    def known(device: DeviceLink) -> dict[str, str]:
        if not neighbours:
            return clients if _serves(device, profile) else server
        return {address: mac_address(address) for address in neighbours.get(device.device, ())}

    return {
        device.device: Wire(
            end_name(device.address),
            Interface(mac_address(device.address), (f"{device.address}/{profile.prefix}",), mtu=profile.mtu),
            Neighbours(known(device)),
            None
            if device.device in profile.offline
            else bridge_name(number, partitions_of(device.device, profile), further),
            ways.get(device.device),
        )
        for device, (number, further) in zip(profile.devices, bridges, strict=True)
    }


def site_numbers(profile: Profile) -> dict[str, int]:
    """The number of each site's bridge. The first bridge stays for those at none, and connects the others."""
    sites = set() if profile.topology is None else set(profile.topology.sites.values())
    return {site: number for number, site in enumerate(sorted(sites), 1)}


@functools.cache
def end_name(address: str) -> str:
    """Name of the lab host's end of a device's veth pair; the kernel allows 15 characters."""
    return f"v{int(ipaddress.IPv4Address(address)):08x}"


@functools.cache
def mac_address(address: str) -> str:
    """A device's MAC address: locally administered, and as unique as its IPv4 address."""
    return f"02:fd:{ipaddress.IPv4Address(address).packed.hex(':')}"


def bridge_name(number: int, partitions: Sequence[int] = (), further: int = 0) -> str:
    """Name of a bridge of the run; the kernel allows 15 characters, of which those of what connects it need three more.

    Args:
        number: its site's.
        partitions: it is for devices that are in these and in no others.
        further: which of its site's it is; 0: the one that edges and the others are connected to.
    """
    place = f"{number}{_FURTHER[further - 1] if further else ''}"
    if not partitions:
        return f"br{place}"
    digest = hashlib.blake2b(",".join(map(str, partitions)).encode(), digest_size=3).hexdigest()
    return f"p{digest}-{place}"


def vxlan_name(bridge: str) -> str:
    """Name of the VXLAN device that is a port of a bridge; the kernel allows 15 characters."""
    return f"{VXLAN_PREFIX}{bridge.partition('-')[0]}"


def first_bridge(bridge: str) -> str:
    """Name of the bridge that connects those of all sites, or that this one is."""
    return f"{_site_bridge(bridge).rstrip(string.digits)}0"


def upper_bridge(bridge: str) -> str:
    """Name of the bridge that this one is connected to; of the first, its own."""
    return _site_bridge(bridge) if is_further(bridge) else first_bridge(bridge)


def is_further(bridge: str) -> bool:
    """Whether a bridge has the devices for which that of their site has no port."""
    return _site_bridge(bridge) != bridge


def crossing_bridge(bridge: str) -> str:
    """Name of the bridge over which what has taken an edge reaches other lab hosts, beside this one or its first."""
    return f"w{first_bridge(bridge)}"


def partitions_of(device: str, profile: Profile) -> list[int]:
    """The partitions that a device is in."""
    return sorted(number for number, devices in profile.partitions.items() if device in devices)


def _site_bridge(bridge: str) -> str:
    return bridge.rstrip(_FURTHER)


def _bridges(profile: Profile, by_site: bool) -> Iterator[tuple[int, int]]:
    """Yield each device's bridge: the number of its site, and which of its site's bridges it is."""
    sites = site_numbers(profile) if by_site else {}
    taken = Counter(sites[site] for site, _ in profile.edges) if by_site else Counter[int]()
    taken[0] = len(sites)
    for device in profile.devices:
        number = sites.get(profile.site(device.device) or "", 0)
        yield number, taken[number] // PORTS_PER_BRIDGE
        taken[number] += 1


def _serves(device: DeviceLink, profile: Profile) -> bool:
    return device.device == profile.server
