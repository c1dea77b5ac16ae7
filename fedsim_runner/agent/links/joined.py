"""What the network between lab hosts makes of the links of a run that has several. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from fedsim_runner.contract.lab_network import MTU
from fedsim_runner.contract.link import Link
from fedsim_runner.contract.link_verdict import tolerated_delay_us
from fedsim_runner.contract.topology import Topology

from .profile import DeviceLink, Profile


@dataclass(frozen=True)
class Joined:
    """The network between lab hosts, as far as links are concerned.

    What packets really take between lab hosts is taken off their delay. A back end that knows the sender of what
    arrives does so for each lab host that it comes from. Elsewhere the links of all devices that are not on the
    server's lab host are shorter by the way there, which is right for what they exchange with the server; with a
    topology, edges are that lead to neighbours on other lab hosts.

    Attributes:
        mtu: of the devices' interfaces.
        ways_us: by device elsewhere, how long its packets are under way to this lab host, as far as that is known.
        to_server_us: how long packets are under way from here to the server's lab host; None: it is this one.
        is_mixed: lab hosts have different link back ends, so each shapes its own devices' links alone.
        by_sender: it is taken off where packets arrive.
    """

    mtu: int = MTU
    ways_us: Mapping[str, int] = field(default_factory=dict)
    to_server_us: int | None = None
    is_mixed: bool = False
    by_sender: bool = False

    def of(self, profile: Profile) -> Profile:
        """The links with what is real taken off the emulated delay."""
        if self.by_sender:
            ways_us = {one.address: way for one in profile.peers if (way := self.ways_us.get(one.device, 0))}
            return replace(profile, mtu=self.mtu, ways_us=ways_us)
        if profile.topology is not None and profile.topology.parents:
            # Each device is at a site of its own, so an edge that leaves has one way.
            return replace(profile, mtu=self.mtu, topology=self._with_shorter_edges(profile, profile.topology))
        off_us = self.to_server_us or 0
        return replace(
            profile,
            mtu=self.mtu,
            devices=[_without(one, off_us) for one in profile.devices],
            peers=[
                replace(one, up=Link(), down=Link()) if self.is_mixed else _without(one, self._off_peers_us(one))
                for one in profile.peers
            ],
            departs=self.is_mixed,
        )

    def longer(self, profile: Profile) -> dict[str, int]:
        """The devices here whose packets take longer than asked for by more than links may be off.

        Returns:
            By their names, microseconds that their packets are really under way.
        """
        found: dict[str, int] = {}
        for one, other in self._pairs(profile):
            way_us = self.ways_us.get(other.device, 0)
            # Elsewhere it is taken off the links of the device that is not on the server's lab host alone.
            if self.by_sender:
                delays = _asked_us(one, other, profile)
            elif profile.topology is not None and profile.topology.parents:
                delays = [profile.edges[one.device, other.device].delay_us]
            else:
                delays = [one.up.delay_us, one.down.delay_us]
            for asked_us in delays:
                if way_us - asked_us > tolerated_delay_us(asked_us):
                    found[one.device] = max(way_us, found.get(one.device, 0))
        return found

    def shorter(self, profile: Profile) -> list[str]:
        """The devices here whose packets to each other take less than asked for by more than links may be off."""
        if self.by_sender or not self.to_server_us or not profile.clients_talk:
            return []
        found = []
        for one in profile.devices:
            # All links of a lab host lose as much: it is most for a packet to a device with as long a delay.
            taken_us = sum(min(self.to_server_us, link.delay_us) for link in (one.up, one.down))
            if len(profile.devices) > 1 and taken_us > tolerated_delay_us(one.up.delay_us + one.down.delay_us):
                found.append(one.device)
        return found

    def _pairs(self, profile: Profile) -> Iterator[tuple[DeviceLink, DeviceLink]]:
        """Each device here but the server, and those elsewhere with which it exchanges packets.

        Of those elsewhere that are alike it is one.
        """
        topology, clients = profile.topology, [one for one in profile.devices if one.device != profile.server]
        if topology is not None and topology.parents:
            elsewhere = {other.device: other for other in profile.peers}
            here = {one.device: one for one in profile.devices}
            for first, second in topology.directions():
                if first in here and second in elsewhere:
                    yield here[first], elsewhere[second]
            return
        servers = [other for other in profile.peers if other.device == profile.server]
        alike = {
            (self.ways_us.get(other.device), profile.site(other.device), other.up.delay_us, other.down.delay_us): other
            for other in (profile.peers if profile.clients_talk else servers)
        }
        yield from itertools.product(clients, alike.values())

    def _with_shorter_edges(self, profile: Profile, topology: Topology) -> Topology:
        here = {one.device for one in profile.devices}

        def left(first: str, second: str, link: Link) -> Link:
            return _shorter(link, self.ways_us.get(second, 0)) if first in here and second not in here else link

        edges = (
            replace(
                one,
                there=left(one.first, one.second, one.there),
                back=left(one.second, one.first, one.back),
            )
            for one in topology.edges
        )
        return replace(topology, edges=tuple(edges))

    def _off_peers_us(self, one: DeviceLink) -> int:
        return self.ways_us.get(one.device, 0) if self.to_server_us is None else 0


def _asked_us(one: DeviceLink, other: DeviceLink, profile: Profile) -> list[int]:
    """The delay from one device to the other, and back."""
    near, far = profile.site(one.device) or "", profile.site(other.device) or ""
    there, back = (profile.edges.get(way, Link()) for way in ((near, far), (far, near)))
    return [
        one.up.delay_us + there.delay_us + other.down.delay_us,
        other.up.delay_us + back.delay_us + one.down.delay_us,
    ]


def _without(one: DeviceLink, by_us: int) -> DeviceLink:
    return replace(one, up=_shorter(one.up, by_us), down=_shorter(one.down, by_us)) if by_us else one


def _shorter(link: Link, by_us: int) -> Link:
    return replace(link, delay_us=max(0, link.delay_us - by_us)) if link.delay_us else link
