"""The lab hosts of a run as one of them sees them: who they are, and who carries which device. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from fedsim_runner.contract.device_file import DeviceFile, LabMember

from ..links.network.wiring import mac_address

#: The lab hosts' own addresses on the run's network, with which they measure what is between them: no device has a
#: route there.
_OWN = ipaddress.IPv4Network("169.254.0.0/17")
#: Their addresses in the tunnel, if what passes between them is encrypted.
_TUNNEL = ipaddress.IPv4Network("169.254.128.0/17")
PREFIX = 17


@dataclass(frozen=True)
class Members:
    """The lab hosts of a run.

    Attributes:
        here: this one.
        others: all others.
        server: name of the one that carries the server.
        encrypt: whether what passes between them is encrypted.
        peers: by MAC address, the IP address of each device on another lab host.
        carriers: by the same, the name of that lab host.
        own: by name, each lab host's own address on the run's network.
        outer: by name, the address that a lab host receives VXLAN at: its own, or that in the tunnel.
        carried_by: by name, the lab host of each device elsewhere.
        only_edges: devices have neighbours, and reach nobody else.
        all_meet: devices exchange packets with others than the server, too.
    """

    here: LabMember
    others: tuple[LabMember, ...]
    server: str
    encrypt: bool
    peers: Mapping[str, str]
    carriers: Mapping[str, str]
    own: Mapping[str, str]
    outer: Mapping[str, str]
    carried_by: Mapping[str, str]
    only_edges: bool
    all_meet: bool

    @property
    def partners(self) -> list[LabMember]:
        """The lab hosts with which devices here exchange packets: the server's, or all."""
        return [one for one in self.others if self.all_meet or self.server in (one.name, self.here.name)]

    @property
    def behind(self) -> dict[str, str]:
        """By MAC address, where a lab host receives that carries a device elsewhere, or that has it itself."""
        outer = {one.name: self.outer[one.name] for one in self.others}
        own = {mac_address(self.own[name]): address for name, address in outer.items()}
        return own | {mac: outer[carrier] for mac, carrier in self.carriers.items() if carrier in outer}


def members_of(found: DeviceFile) -> Members | None:
    """The lab hosts of a device file's run; None: it has only one."""
    lab = found.lab
    if lab is None:
        return None
    here = next((one for one in lab.hosts if one.name == found.lab_host), None)
    if here is None:
        return None  # it carries none of the run's devices
    only_edges = found.topology is not None and bool(found.topology.parents)
    behind = {mac_address(address): (address, peer.lab_host) for address, peer in found.peers.items() if peer.lab_host}
    return Members(
        here,
        tuple(one for one in lab.hosts if one != here),
        lab.server,
        lab.encrypt,
        {mac: address for mac, (address, _) in behind.items()},
        {mac: carrier for mac, (_, carrier) in behind.items()},
        {one.name: str(_OWN[number + 1]) for number, one in enumerate(lab.hosts)},
        {one.name: str(_TUNNEL[number + 1]) if lab.encrypt else one.address for number, one in enumerate(lab.hosts)},
        {peer.device: peer.lab_host for peer in found.peers.values() if peer.lab_host},
        only_edges,
        only_edges or found.course.clients_talk,
    )
