"""What the packet process does to packets that arrive at a device, as a value."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fedsim_runner.contract.link import Link
from fedsim_runner.contract.queue_size import buffer_bytes, passes_super_packets

from ..profile import DeviceLink, Profile
from .crossings import NOWHERE, Crossings

#: Packets in a second that the packet process passes with a 99th percentile of 1 ms, measured on two shared cores that
#: other programs kept busy (Linux 6.18, Python 3.11): docs/network.md has the figures.
PACKETS_PER_S = 50_000
MAX_QUEUE_PACKETS = 131_072
_KERNEL_QUEUE_PACKETS = 1024  # NFQUEUE's own default


class Senders:
    """The links, as JSON data, of every device's uplink, by address; compared without the seed."""

    def __init__(self, ups: Mapping[str, Mapping[str, Any]], seed: int = 0) -> None:
        self.ups = ups
        self.seed = seed
        self._digest = hashlib.sha256(json.dumps(ups, sort_keys=True).encode()).hexdigest()[:8]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Senders) and self.ups == other.ups

    def __hash__(self) -> int:
        return hash(frozenset(self.ups))

    def __str__(self) -> str:
        return f"senders {self._digest}"

    @classmethod
    def of(cls, profile: Profile) -> Senders:
        """The uplinks of all devices of the run that are shaped."""
        ups = {one.address: one.up.as_dict() for one in profile.all_devices if one.up.is_shaped}
        return cls(ups, profile.seed)

    @classmethod
    def parse(cls, ups: Mapping[str, Mapping[str, Any]]) -> Senders:
        """Build it from the packet process's state, which may hold uplinks that are no longer shaped."""
        return cls({address: link for address, link in ups.items() if Link.from_dict(link).is_shaped})

    def changed_from(self, before: Senders) -> dict[str, Mapping[str, Any]]:
        """The uplinks that are not what they were, by address."""
        gone = dict.fromkeys(before.ups.keys() - self.ups.keys(), Link().as_dict())
        return gone | {address: values for address, values in self.ups.items() if before.ups.get(address) != values}


class Uplinks:
    """What matters to a receiver of the uplinks of all devices but its own."""

    def __init__(self, devices: Iterable[DeviceLink]) -> None:
        self._shaped = {one.address: one.up for one in devices if one.up.is_shaped}
        self._longest = sorted(((_longest_s(up), address) for address, up in self._shaped.items()), reverse=True)[:2]
        self._single = {address for address, up in self._shaped.items() if _is_cut(up)}

    def are_beside(self, address: str) -> bool:
        """Whether any but this device's is shaped."""
        return len(self._shaped) > (address in self._shaped)

    def longest_s(self, address: str) -> float:
        """Seconds for which one of them holds a packet at most."""
        return next((seconds for seconds, other in self._longest if other != address), 0.0)

    def need_single_packets(self, address: str) -> bool:
        """Whether a super-packet on one of them has to be split up."""
        return len(self._single) > (address in self._single)


@dataclass(frozen=True)
class Arrivals:
    """``down``: the device's downlink; ``single_packets``: super-packets are split up.

    ``guest``: its address, if it is at a site without being one of the run's devices.
    """

    down: Link
    queue_packets: int
    single_packets: bool
    senders: Senders = field(repr=False)
    site: str | None = None
    crossings: Crossings = field(default=NOWHERE, repr=False)
    guest: str | None = None

    def __str__(self) -> str:
        return (
            f"{describe(self.down)} queue {self.queue_packets} packets"
            f"{' per packet' if self.single_packets else ''}, {self.senders}"
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
        return cls(down, packets, single, senders, site, crossings)

    @classmethod
    def parse(cls, state: Mapping[str, Any], senders: Senders, crossings: Crossings) -> Arrivals:
        """Build it from the packet process's state of one device."""
        down = Link.from_dict(state["down"])
        return cls(down, state["maxlen"], not state["gso"], senders, state["site"], crossings, state["guest"])


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
