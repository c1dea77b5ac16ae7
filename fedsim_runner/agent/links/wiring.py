"""How a run's devices are wired on one lab host: names, MAC addresses, neighbours and bridges. Pure.

Everything follows from the devices' addresses and their order, so that any agent of the run finds the same. Devices of
a partition are ports of bridges of their own, which nothing connects to the others; one that is offline is none of any.
Where a link back end keeps devices apart itself, ports stay where they are.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fedsim_runner.contract.lab_network import MTU

from .profile import DeviceLink, Profile
from .ways import Ways, neighbours_of, plan_ways

#: A Linux bridge has 1023 ports. The first bridge keeps the rest for those that lead to the others.
PORTS_PER_BRIDGE = 1000
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
    sites = site_numbers(profile) if by_site else {}
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
            else bridge_name(
                sites.get(profile.site(device.device) or "", number // PORTS_PER_BRIDGE),
                partitions_of(device.device, profile),
            ),
            ways.get(device.device),
        )
        for number, device in enumerate(profile.devices)
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


def bridge_name(number: int, partitions: Sequence[int] = ()) -> str:
    """Name of a bridge of the run, from 0: of the devices that are in these partitions and in no others."""
    if not partitions:
        return f"br{number}"
    digest = hashlib.blake2b(",".join(map(str, partitions)).encode(), digest_size=3).hexdigest()
    return f"p{digest}-{number}"


def vxlan_name(bridge: str) -> str:
    """Name of the VXLAN device that is a port of a bridge; the kernel allows 15 characters."""
    return f"{VXLAN_PREFIX}{bridge.partition('-')[0]}"


def first_bridge(bridge: str) -> str:
    """Name of the bridge that this one is connected to, or that it is."""
    return f"{bridge.rstrip('0123456789')}0"


def partitions_of(device: str, profile: Profile) -> list[int]:
    """The partitions that a device is in."""
    return sorted(number for number, devices in profile.partitions.items() if device in devices)


def _serves(device: DeviceLink, profile: Profile) -> bool:
    return device.device == profile.server
