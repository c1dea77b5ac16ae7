"""The edges between sites as the packet process holds them: which one a packet crosses on its way to a device."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fedsim_runner.contract.link import Link

from ..profile import Profile
from .direction import Direction, direction_with


class Crossings:
    """What is asked for: the site of every sender, and each direction of each edge; compared by their digest.

    Attributes:
        sites: by address.
        edges: of each the sites that it leads from and to, and the link as JSON data.
        hops: devices pass on packets: the sender of one is the device that has sent it last.
    """

    def __init__(self, sites: Mapping[str, str], edges: Sequence[Sequence[Any]], hops: bool = False) -> None:
        self.sites = sites
        self.edges = edges
        self.hops = hops
        listed = json.dumps([sites, sorted(edges, key=lambda edge: tuple(edge[:2])), hops], sort_keys=True)
        self._digest = hashlib.sha256(listed.encode()).hexdigest()[:8] if sites else ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Crossings) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)

    def __str__(self) -> str:
        return f"edges {self._digest}" if self._digest else "no edges"

    @classmethod
    def of(cls, profile: Profile) -> Crossings:
        """Those of a run."""
        known = {} if profile.topology is None else profile.topology.sites
        sites = {one.address: known[one.device] for one in profile.all_devices if one.device in known}
        hops = profile.topology is not None and bool(profile.topology.parents)
        return cls(sites, [[*edge, link.as_dict()] for edge, link in profile.edges.items()], hops)


#: There is but one site.
NOWHERE = Crossings({}, ())


class Edges:
    """The edges in force.

    Attributes:
        sites: site of each sender, by its packed address; empty: there are no edges.
        into: each site's edges, by the site that they come from.
        shaped: those of them that do something to packets, by the sites that they lead from and to.
        hops: as :class:`Crossings` has it.
    """

    def __init__(self) -> None:
        self.sites: dict[bytes, str] = {}
        self.into: dict[str, dict[str, Direction]] = {}
        self.shaped: dict[tuple[str, str], Direction] = {}
        self.hops = False
        self._listed: dict[bytes, str] = {}
        self._guests: dict[bytes, str] = {}

    def set(self, sites: Mapping[str, str], edges: Iterable[Sequence[Any]], hops: bool, seed: object) -> None:
        """Set them; on an edge that stays, nothing overtakes what is under way."""
        before, self.into, self.hops = self.into, {}, hops
        self._listed = {socket.inet_aton(address): site for address, site in sites.items()}
        self.sites = {**self._listed, **self._guests}
        self.shaped = {}
        for first, second, data in edges:
            old = before.get(second, {}).get(first)
            edge = direction_with(old, Link.from_dict(data), f"{seed}/{first}/{second}")
            self.into.setdefault(second, {})[first] = edge
            if edge.link.is_shaped:
                self.shaped[first, second] = edge

    def add_guest(self, address: bytes, site: str) -> None:
        """Have a sender that is none of the run's devices be at a site."""
        self._guests[address] = self.sites[address] = site

    def remove_guest(self, address: bytes) -> None:
        """It is at none any longer."""
        if self._guests.pop(address, None) is not None and address not in self._listed:
            del self.sites[address]

    def as_lists(self) -> dict[str, Any]:
        """They as :meth:`set` takes them."""
        return {
            "sites": {socket.inet_ntoa(address): site for address, site in self._listed.items()},
            "edges": [
                [first, second, edge.link.as_dict()] for second, row in self.into.items() for first, edge in row.items()
            ],
            "hops": self.hops,
        }
