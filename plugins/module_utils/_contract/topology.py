"""What lies between a run's devices, besides their own links: sites, and edges from one to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .link import Link


@dataclass(frozen=True)
class Edge:
    """A line between two sites: ``there`` from the first to the second, ``back`` the other way."""

    first: str
    second: str
    there: Link
    back: Link


@dataclass(frozen=True)
class Topology:
    """Which site each device is at, and the edges, which all packets from one site to another share.

    A packet takes its sender's uplink, the edge between the two sites if they differ, and its receiver's downlink.
    Between sites without an edge nothing passes.

    Attributes:
        sites: of all devices of the run, by the device's name.
    """

    sites: Mapping[str, str]
    edges: tuple[Edge, ...]

    def directions(self) -> dict[tuple[str, str], Link]:
        """Each direction of each edge, by the sites that it leads from and to."""
        found = {(edge.first, edge.second): edge.there for edge in self.edges}
        return found | {(edge.second, edge.first): edge.back for edge in self.edges}
