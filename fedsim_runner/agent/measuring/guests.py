"""The ends that measure: one for the links of all devices, and for edges one at each of their sites. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from fedsim_runner.contract.link import Link, Links

from ..links.profile import Profile
from .schedule import METER, Target


@dataclass(frozen=True)
class Guest:
    """An end of the run's network that is none of the run's devices, with a link that nothing limits.

    ``site``: the one that it is at; None: every site reaches it.
    """

    name: str
    address: str
    site: str | None = None


def plan_guests(profile: Profile, targets: Iterable[Target]) -> list[Guest] | None:
    """Return the guests that send or receive over what is to be measured; None: the network has no address left."""
    used = {name for target in targets for name in (target.sender, target.receiver)}
    addresses = [one.address for one in profile.all_devices]
    guests = []
    if METER in used:
        address = free_address(profile.prefix, addresses)
        if address is None:
            return None
        guests.append(Guest(METER, address))
    sites = sorted({site for edge in profile.edges for site in edge if guest_name(site) in used})
    free = beyond(profile.prefix, addresses, len(sites))
    return guests + [Guest(guest_name(site), address, site) for site, address in zip(sites, free, strict=True)]


def guest_name(site: str) -> str:
    """Return the name of the guest at a site. No device has such a name."""
    return f"(at:{site})"


def edges_into(profile: Profile) -> dict[str, Links]:
    """Return the edges that this lab host holds, those that lead to its devices' sites, by their names."""
    topology = profile.topology
    here = {profile.site(one.device) for one in profile.devices}
    edges = () if topology is None else topology.edges
    return {edge.name: Links(edge.there, edge.back) for edge in edges if here & {edge.first, edge.second}}


def edge_targets(profile: Profile, names: Collection[str]) -> list[Target]:
    """Return the directions of these edges that lead to sites of this lab host's devices."""
    if profile.topology is None:
        return []
    here = {profile.site(one.device) for one in profile.devices}
    links: Mapping[tuple[str, str], Link] = profile.edges
    return [
        Target(name, direction, links[first, second], guest_name(first), guest_name(second))
        for (first, second), (name, direction) in profile.topology.names().items()
        if name in names and second in here
    ]


def free_address(prefix: int, used: Iterable[str]) -> str | None:
    """Return the last address of the devices' network that no device has; None if there is none."""
    taken = {ipaddress.IPv4Address(address) for address in used}
    if not taken:
        return None
    network = ipaddress.IPv4Network((int(min(taken)), prefix), strict=False)
    last = network.broadcast_address - 1
    while last in taken:
        last -= 1
    return str(last) if last > network.network_address else None


def beyond(prefix: int, used: Iterable[str], count: int) -> list[str]:
    """Return the first addresses of the network that follows that of the devices, and is as large.

    Guests at sites send to each other alone, and there are no more sites than devices.
    """
    if not count:
        return []
    network = ipaddress.IPv4Network((min(int(ipaddress.IPv4Address(one)) for one in used), prefix), strict=False)
    return [str(network.broadcast_address + 2 + number) for number in range(count)]
