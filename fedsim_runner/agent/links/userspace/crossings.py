"""The edges between sites as the packet process holds them: which one a packet crosses on its way to a device."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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
        sites = {one.address: site for one in profile.all_devices if (site := profile.site(one.device)) is not None}
        hops = profile.topology is not None and bool(profile.topology.parents)
        return cls(sites, [[*edge, link.as_dict()] for edge, link in profile.edges.items()], hops)


#: There is but one site.
NOWHERE = Crossings({}, ())


class Edges:
    """The edges in force.

    Attributes:
        sites: site of each sender, by its packed address; empty: there are no edges.
        into: each site's edges, by the site that they come from.
        hops: as :class:`Crossings` has it.
    """

    def __init__(self) -> None:
        self.sites: dict[bytes, str] = {}
        self.into: dict[str, dict[str, Direction]] = {}
        self.hops = False

    def set(self, sites: Mapping[str, str], edges: Iterable[Sequence[Any]], hops: bool, seed: object) -> None:
        """Set them; on an edge that stays, nothing overtakes what is under way."""
        before, self.into, self.hops = self.into, {}, hops
        self.sites = {socket.inet_aton(address): site for address, site in sites.items()}
        for first, second, data in edges:
            old = before.get(second, {}).get(first)
            self.into.setdefault(second, {})[first] = direction_with(old, data, f"{seed}/{first}/{second}")

    def as_lists(self) -> dict[str, Any]:
        """They as :meth:`set` takes them."""
        return {
            "sites": {socket.inet_ntoa(address): site for address, site in self.sites.items()},
            "edges": [
                [first, second, edge.link.as_dict()] for second, row in self.into.items() for first, edge in row.items()
            ],
            "hops": self.hops,
        }
