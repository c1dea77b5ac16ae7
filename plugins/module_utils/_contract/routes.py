"""The route of each client to the server and back: all links that packets cross, in order. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
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
    between = {} if topology is None else topology.directions()
    found = {}
    for name in links:
        if name == server:
            continue
        sites = () if topology is None else topology.between(name, server)
        # A device that passes something on receives it with its own link, and sends it with that.
        hops = sites if topology is not None and topology.parents else (name, server)
        found[name] = Route(tuple(_cross(hops, sites, links, between)), (), sites)
        down = tuple(_cross(hops[::-1], sites[::-1], links, between))
        found[name] = Route(found[name].up, down, sites)
    return found


def _cross(
    hops: tuple[str, ...],
    sites: tuple[str, ...],
    links: Mapping[str, Links],
    between: Mapping[tuple[str, str], Link],
) -> Iterator[Link]:
    """The links from one device to another: of each hop the sender's, the edge's if there is one, the receiver's."""
    edges = list(itertools.pairwise(sites))
    for number, (sender, receiver) in enumerate(itertools.pairwise(hops)):
        yield links[sender].up
        if edges:
            yield between[edges[number]]
        yield links[receiver].down
