"""The devices on a run's other lab hosts, as a device file lists them: by ranges of names, addresses and equal links.

In a device file::

    "peers": {
     "links": [{"link": {...}}],
     "lab_hosts": {"lab2": ["198.18.0.11 pi-[11:20] 0"]}
    }

``0`` is the number of the link in ``links``. Earlier files have an object for each peer instead, by its address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .link import Links
from .link_variation import Variation
from .name_ranges import following, unfold, write_range
from .typed_json import OMIT_DEFAULT, FormError, dump, load


@dataclass(frozen=True)
class Peer:
    """A device of the same run on another lab host, which ``lab_host`` names; empty in files of earlier versions."""

    device: str
    link: Links
    variation: Variation | None = field(default=None, metadata=OMIT_DEFAULT)
    lab_host: str = field(default="", metadata=OMIT_DEFAULT)


@dataclass(frozen=True)
class PeerLink:
    """A link that several peers have."""

    link: Links
    variation: Variation | None = field(default=None, metadata=OMIT_DEFAULT)


@dataclass(frozen=True)
class PeerRange:
    """Devices with consecutive names and addresses and the same link, on one lab host.

    Attributes:
        first: the name of the first.
        count: how many there are.
        address: that of the first.
        link: of each of them.
    """

    first: str
    count: int
    address: ipaddress.IPv4Address
    link: PeerLink

    @cached_property
    def text(self) -> str:
        """Its first address and its names, as the device files of all other lab hosts have them."""
        return f"{self.address} {write_range(self.first, self.count)}"

    @property
    def last(self) -> ipaddress.IPv4Address:
        """The address of the last device."""
        return self.address + (self.count - 1)


class Peers(Mapping[str, Peer]):
    """All peers by address, in the order of their lab hosts' names and of their addresses there.

    Attributes:
        ranges: of each lab host, by its name.
    """

    def __init__(self, ranges: Mapping[str, tuple[PeerRange, ...]]) -> None:
        self.ranges = ranges

    @classmethod
    def of(cls, placed: Iterable[tuple[str, str, str, Links, Variation | None]]) -> Peers:
        """Group devices: lab host, name, address, link and how that varies, in the order of addresses."""
        open_at: dict[str, list[Any]] = {}
        found: dict[str, list[PeerRange]] = {}
        known: dict[PeerLink, PeerLink] = {}
        for lab_host, name, address, links, variation in placed:
            link = PeerLink(links, variation)
            link = known.setdefault(link, link)
            at = ipaddress.IPv4Address(address)
            last = open_at.get(lab_host)
            if last is not None and last[1:] == [name, at, link]:
                before = found[lab_host][-1]
                found[lab_host][-1] = PeerRange(before.first, before.count + 1, before.address, link)
            else:
                found.setdefault(lab_host, []).append(PeerRange(name, 1, at, link))
            open_at[lab_host] = [lab_host, following(name), at + 1, link]
        return cls({lab_host: tuple(found[lab_host]) for lab_host in sorted(found)})

    def without(self, lab_host: str) -> Peers:
        """Return those on other lab hosts than this one."""
        return Peers({name: ranges for name, ranges in self.ranges.items() if name != lab_host})

    @cached_property
    def _by_address(self) -> dict[str, Peer]:
        return {
            str(one.address + number): Peer(name, one.link.link, one.link.variation, lab_host)
            for lab_host, ranges in self.ranges.items()
            for one in ranges
            for number, name in enumerate(unfold([write_range(one.first, one.count)]))
        }

    def __getitem__(self, address: str) -> Peer:
        return self._by_address[address]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_address)

    def __len__(self) -> int:
        return sum(one.count for ranges in self.ranges.values() for one in ranges)


def peers_of(peers: Mapping[str, Peer]) -> Peers:
    """Return any peers in ranges."""
    if isinstance(peers, Peers):
        return peers
    by_address = sorted(peers.items(), key=lambda item: ipaddress.IPv4Address(item[0]))
    return Peers.of((one.lab_host, one.device, address, one.link, one.variation) for address, one in by_address)


def dump_peers(peers: Mapping[str, Peer]) -> dict[str, Any]:
    """Return peers as a device file lists them."""
    numbers: dict[PeerLink, int] = {}
    lab_hosts = {
        lab_host: [f"{one.text} {numbers.setdefault(one.link, len(numbers))}" for one in ranges]
        for lab_host, ranges in peers_of(peers).ranges.items()
    }
    return {"links": dump(list(numbers)), "lab_hosts": lab_hosts} if lab_hosts else {}


def load_peers(content: object) -> Mapping[str, Peer]:
    """Return the peers of a device file, of this version or an earlier one.

    Raises:
        FormError: they have neither form.
    """
    if not isinstance(content, Mapping):
        raise FormError("peers: expected an object")
    if not {"links", "lab_hosts"} <= set(content):
        return {str(address): load(Peer, peer, f"peers.{address}") for address, peer in content.items()}
    links, lab_hosts = content["links"], content["lab_hosts"]
    if not isinstance(links, list) or not isinstance(lab_hosts, Mapping):
        raise FormError("peers: expected links in a list and lab_hosts in an object")
    known = [load(PeerLink, link, f"peers.links[{number}]") for number, link in enumerate(links)]
    return Peers(
        {
            str(lab_host): tuple(_load_range(line, known, f"peers.lab_hosts.{lab_host}") for line in _lines(lines))
            for lab_host, lines in lab_hosts.items()
        }
    )


def _lines(lines: object) -> list[object]:
    return lines if isinstance(lines, list) else [lines]


def _load_range(line: object, links: list[PeerLink], where: str) -> PeerRange:
    try:
        address, text, number = str(line).split(" ")
        names = list(unfold([text]))
        return PeerRange(names[0], len(names), ipaddress.IPv4Address(address), links[int(number)])
    except (ValueError, IndexError):
        raise FormError(f"{where}: {line!r} is not an address, names and the number of a link") from None
