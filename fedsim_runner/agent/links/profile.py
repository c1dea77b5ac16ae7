"""The requested links of a run on one lab host."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fedsim_runner.contract.lab_network import MTU
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.topology import Topology


@dataclass(frozen=True)
class DeviceLink:
    """A device's requested link and its address on the run's network."""

    device: str
    address: str
    up: Link
    down: Link


@dataclass(frozen=True)
class Profile:
    """The devices of a run, as one lab host sees them.

    Attributes:
        devices: those on this lab host.
        peers: the others.
        seed: fixes all random draws.
        server: name of the device that is the server.
        prefix: prefix length of the devices' addresses.
        may_part: devices may be offline, or in partitions, during the course.
        later: further links that devices may have during the course; with any, all links can be changed in place.
        fastest_up_bps: by device whose link may change, the highest rate that its uplink has during the course.
        changing: by device and ``up`` or ``down``, all links that a direction which may change is during the course.
        offline: devices that nothing reaches, and that reach nothing.
        partitions: sets of devices by a number of each: nothing passes between one and all others.
        topology: what lies between the devices; None: nothing.
        clients_talk: clients exchange messages with each other, too.
        mtu: of the devices' interfaces.
        guest_sites: the sites of those in ``devices`` that are none of the run's devices, but measure its edges.
        departs: packets to other lab hosts take the sender's uplink here, as those do not know it.
        ways_us: by address of devices on other lab hosts, how long their packets are under way to this one: that is
            taken off their delay where they arrive.
    """

    devices: Sequence[DeviceLink]
    peers: Sequence[DeviceLink] = field(default=())
    seed: int = 0
    server: str = ""
    prefix: int = 24
    may_part: bool = False
    later: tuple[Link, ...] = ()
    fastest_up_bps: Mapping[str, int] = field(default_factory=dict)
    changing: Mapping[tuple[str, str], Collection[Link]] = field(default_factory=dict)
    offline: frozenset[str] = frozenset()
    partitions: Mapping[int, frozenset[str]] = field(default_factory=dict)
    topology: Topology | None = None
    clients_talk: bool = False
    mtu: int = MTU
    guest_sites: Mapping[str, str] = field(default_factory=dict)
    departs: bool = False
    ways_us: Mapping[str, int] = field(default_factory=dict)

    @property
    def all_devices(self) -> list[DeviceLink]:
        """All devices of the run."""
        return [*self.devices, *self.peers]

    @property
    def links(self) -> list[Link]:
        """Both directions of all devices' links, those that they may have later, and those of all edges."""
        own = [link for device in self.all_devices for link in (device.up, device.down)]
        return [*own, *self.later, *self.edges.values()]

    @property
    def may_change(self) -> bool:
        """Whether links may change while packets pass."""
        return bool(self.later)

    @property
    def drops_between(self) -> bool:
        """Whether a back end that can is to drop what passes between partitions; other lab hosts then do the same."""
        return self.may_part and not self.departs

    @property
    def edges(self) -> dict[tuple[str, str], Link]:
        """Each direction of each edge, by the sites that it leads from and to."""
        return {} if self.topology is None else self.topology.directions()

    def site(self, device: str) -> str | None:
        """The site that a device is at; None: every site reaches it, as does what measures links."""
        return None if self.topology is None else self.topology.sites.get(device, self.guest_sites.get(device))

    def without_links(self) -> Profile:
        """The same devices without shaping."""
        bare = [
            [DeviceLink(device.device, device.address, Link(), Link()) for device in devices]
            for devices in (self.devices, self.peers)
        ]
        still = replace(self, devices=bare[0], peers=bare[1], later=(), changing={})
        return replace(still, topology=None, may_part=False, departs=False)
