"""The route of each client to the server and back: all links that packets cross, in order. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from .link import Link, Links
from .topology import Topology


@dataclass(frozen=True)
class Route:
    """A client's route to the server.

    Attributes:
        up: the links that a packet to the server crosses.
        down: those that one from the server crosses.
        sites: the sites on the way to the server, in order; empty: both are at the same.
    """

    up: tuple[Link, ...]
    down: tuple[Link, ...]
    sites: tuple[str, ...] = ()

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """The edges on the way to the server, by the sites that each leads from and to."""
        return tuple(itertools.pairwise(self.sites))


def routes_to_server(server: str, links: Mapping[str, Links], topology: Topology | None = None) -> dict[str, Route]:
    """The route of each device but the server, by name.

    Args:
        server: name of the server.
        links: of all devices, by name.
        topology: None: all devices are at the same site.
    """
    own = links[server]
    sites = {} if topology is None else topology.sites
    between = {} if topology is None else topology.directions()
    found = {}
    for name, link in links.items():
        if name == server:
            continue
        way = (sites[name], sites[server]) if sites and sites[name] != sites[server] else ()
        route = Route((), (), way)
        found[name] = Route(
            (link.up, *(between[edge] for edge in route.edges), own.down),
            (own.up, *(between[edge[::-1]] for edge in reversed(route.edges)), link.down),
            way,
        )
    return found
