"""What the packet process does to packets that arrive at a device, as a value."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fedsim_runner.contract.link import Link
from fedsim_runner.contract.queue_size import buffer_bytes, passes_super_packets

from ..network.wiring import partitions_of
from ..profile import DeviceLink, Profile
from .crossings import NOWHERE, Crossings

#: Packets in a second that the packet process passes with a 99th percentile of 1 ms, measured on two shared cores that
#: other programs kept busy (Linux 6.18, Python 3.11): docs/links.md has the figures.
PACKETS_PER_S = 50_000
MAX_QUEUE_PACKETS = 131_072
#: The group of a device that is offline.
OFFLINE = "offline"
_KERNEL_QUEUE_PACKETS = 1024  # NFQUEUE's own default


class Senders:
    """Uplinks as JSON data, by address of the device, and what else concerns senders; compared without the seed.

    Attributes:
        groups: by address, the group of each device that not everybody reaches (:class:`Group`).
        ways_us: by address, how long packets of a device on another lab host are under way to this one.
        of_all: those of all of the run's devices, of which these are some.
    """

    def __init__(
        self,
        ups: Mapping[str, Mapping[str, Any]],
        seed: int = 0,
        groups: Mapping[str, str] | None = None,
        of_all: Senders | None = None,
        ways_us: Mapping[str, int] | None = None,
    ) -> None:
        self.ups = ups
        self.seed = seed
        self.groups = groups or {}
        self.ways_us = ways_us or {}
        self.of_all = of_all or self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Senders) and (self.ups, self.groups, self.ways_us) == (
            other.ups,
            other.groups,
            other.ways_us,
        )

    def __hash__(self) -> int:
        return hash(frozenset(self.ups))

    def __str__(self) -> str:
        listed = json.dumps([self.ups, self.groups, self.ways_us], sort_keys=True)
        digest = hashlib.sha256(listed.encode()).hexdigest()[:8]
        return f"senders {digest}" if self.ups or self.groups or self.ways_us else "none"

    @classmethod
    def of(cls, profile: Profile) -> Senders:
        """The uplinks of all devices of the run that are shaped."""
        ups = {one.address: link_data(one.up) for one in profile.all_devices if one.up.is_shaped}
        groups = {one.address: group for one in profile.all_devices if (group := group_of(one.device, profile))}
        return cls(ups, profile.seed, groups if profile.drops_between else {}, ways_us=profile.ways_us)

    @classmethod
    def parse(cls, state: Mapping[str, Any]) -> Senders:
        """Build it from the packet process's state, which may hold uplinks that are no longer shaped."""
        shaped = {address: link for address, link in state["ups"].items() if Link.from_dict(link).is_shaped}
        return cls(shaped, groups=state["groups"], ways_us=state["ways_us"])

    def without(self, addresses: Collection[str]) -> Senders:
        """Those of all other devices."""
        ups = {address: link for address, link in self.ups.items() if address not in addresses}
        groups = {address: group for address, group in self.groups.items() if address not in addresses}
        return Senders(ups, self.seed, groups, self, self.ways_us)

    def changed_from(self, before: Senders) -> dict[str, Mapping[str, Any]]:
        """The uplinks that are not what they were, by address."""
        gone = dict.fromkeys(before.ups.keys() - self.ups.keys(), Link().as_dict())
        return gone | {address: values for address, values in self.ups.items() if before.ups.get(address) != values}


@dataclass(frozen=True)
class Uplink:
    """A device's uplink; ``senders``: all of the run."""

    link: Link
    senders: Senders = field(repr=False, compare=False)

    def __str__(self) -> str:
        return describe(self.link)

    @classmethod
    def of(cls, link: Link, senders: Senders) -> Uplink:
        """It without values that mean nothing."""
        return cls(link if link.is_shaped else Link(), senders)


@dataclass(frozen=True)
class Group:
    """A device is reached by those of its group alone; ``senders``: all of the run.

    Attributes:
        name: the partitions that it is in, empty for none; :data:`OFFLINE`: nobody reaches it, and it reaches nobody.
    """

    name: str
    senders: Senders = field(repr=False, compare=False)

    def __str__(self) -> str:
        if not self.name:
            return "everybody"
        return "nobody" if self.name == OFFLINE else f"partition {self.name}"


def group_of(device: str, profile: Profile) -> str:
    """The group of a device, as :class:`Group` names it."""
    return OFFLINE if device in profile.offline else ", ".join(map(str, partitions_of(device, profile)))


class Uplinks:
    """What matters to a receiver of the uplinks of all devices but its own.

    Args:
        devices: those of the run.
        later: links that they may have later. Room for what these hold is there from the start.
    """

    def __init__(self, devices: Iterable[DeviceLink], later: Iterable[Link] = ()) -> None:
        self._later_s = max(map(_longest_s, later), default=0.0)
        self._shaped = {one.address: one.up for one in devices if one.up.is_shaped}
        self._longest = sorted(((_longest_s(up), address) for address, up in self._shaped.items()), reverse=True)[:2]
        self._single = {address for address, up in self._shaped.items() if _is_cut(up)}

    def are_beside(self, address: str) -> bool:
        """Whether any but this device's is shaped."""
        return len(self._shaped) > (address in self._shaped)

    def longest_s(self, address: str) -> float:
        """Seconds for which one of them holds a packet at most."""
        now_s = next((seconds for seconds, other in self._longest if other != address), 0.0)
        return max(now_s, self._later_s)

    def need_single_packets(self, address: str) -> bool:
        """Whether a super-packet on one of them has to be split up."""
        return len(self._single) > (address in self._single)


@dataclass(frozen=True)
class Arrivals:
    """``down``: the device's downlink; ``single_packets``: super-packets are split up; ``address``: the device's.

    ``guest``: the same, if it is at a site without being one of the run's devices.
    """

    down: Link
    queue_packets: int
    single_packets: bool
    address: str
    senders: Senders = field(repr=False, compare=False)
    site: str | None = None
    crossings: Crossings = field(default=NOWHERE, repr=False)
    guest: str | None = None

    def __str__(self) -> str:
        return (
            f"{describe(self.down)} queue {self.queue_packets} packets"
            f"{' as single frames' if self.single_packets else ''}"
            f"{'' if self.site is None else f', {self.crossings}, at {self.site}'}"
        )

    @classmethod
    def of(
        cls,
        device: DeviceLink,
        uplinks: Uplinks,
        senders: Senders,
        site: str | None = None,
        edges: Sequence[Link] = (),
        crossings: Crossings = NOWHERE,
    ) -> Arrivals:
        """The arrivals of one device.

        Args:
            device: the receiver.
            uplinks: those of all of the run's devices.
            senders: the same as the packet process has them.
            site: that of the device.
            edges: those that lead there.
            crossings: the sites of all of the run's devices, and all edges.
        """
        address, down = device.address, device.down
        held_s = uplinks.longest_s(address) + max(map(_longest_s, edges), default=0.0) + _longest_s(down)
        packets = kernel_queue_packets(held_s)
        single = any(map(_is_cut, (down, *edges))) or uplinks.need_single_packets(address)
        return cls(down, packets, single, address, senders, site, crossings)

    @classmethod
    def parse(cls, state: Mapping[str, Any], senders: Senders, crossings: Crossings) -> Arrivals:
        """Build it from the packet process's state of one device."""
        down = Link.from_dict(state["down"])
        own, site = state["address"], state["site"]
        return cls(down, state["maxlen"], not state["gso"], own, senders, site, crossings, state["guest"])


@functools.lru_cache(4096)
def link_data(link: Link) -> Mapping[str, Any]:
    """A link as JSON data, which nobody changes: with each change, all links of a lab host are planned."""
    return link.as_dict()


def kernel_queue_packets(held_s: float) -> int:
    """The length of a queue of which links hold a packet for so many seconds at most."""
    return min(_KERNEL_QUEUE_PACKETS + math.ceil(held_s * PACKETS_PER_S), MAX_QUEUE_PACKETS)


def describe(link: Link) -> str:
    """What happens to a direction's packets."""
    parts = [] if link.rate_bps is None else [f"rate {link.rate_bps} bit/s"]
    if link.rate_bps is not None and link.queue is not None:
        parts.append(f"room {buffer_bytes(link.rate_bps, link.queue)} bytes")
    parts.append(f"delay {link.delay_us} us jitter {link.jitter_us} us")
    if link.jitter_distribution != "uniform":
        parts.append(f"({link.distribution})")
    parts.append(f"loss {link.loss:.6g}")
    if link.bursts is not None:
        bursts = link.bursts
        parts.append(f"(p {bursts.p:g} r {bursts.r:g} bad {bursts.bad_loss:g} good {bursts.good_loss:g})")
    return " ".join(parts)


def _is_cut(link: Link) -> bool:
    """Whether super-packets are split up: one drop must not cost 64 kB, nor may 64 kB leave a slow link at once."""
    return bool(link.loss) or not passes_super_packets(link.rate_bps)


def _longest_s(link: Link) -> float:
    """Seconds for which a direction holds a packet at most."""
    waits = buffer_bytes(link.rate_bps, link.queue) * 8 / link.rate_bps if link.rate_bps else 0.0
    return waits + link.longest_delay_us / 1e6
