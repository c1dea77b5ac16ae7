"""What lies between a run's devices, besides their own links: sites, and edges from one to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .link import Link

#: In no device's or region's name are blanks.
_BETWEEN = " - "


def is_edge(name: str) -> bool:
    """Return whether a name of rows and events is that of an edge, not a device's."""
    return _BETWEEN in name


@dataclass(frozen=True)
class Edge:
    """A line between two sites: ``there`` from the first to the second, ``back`` the other way."""

    first: str
    second: str
    there: Link
    back: Link

    @property
    def name(self) -> str:
        """What rows and events call it; no device has such a name."""
        return f"{self.first}{_BETWEEN}{self.second}"


@dataclass(frozen=True)
class Topology:
    """Which site each device is at, and the edges, which all packets from one site to another share.

    A packet takes its sender's uplink, the edge between the two sites if they differ, and its receiver's downlink.
    Between sites without an edge nothing passes, unless devices in between pass it on.

    Attributes:
        sites: of all devices of the run, by the device's name.
        edges: at most one between two sites.
        parents: the next device on the way to the server, of each other device: each has a site of its own, by its
            name, and passes on what others exchange with the server. Empty: no device does.
    """

    sites: Mapping[str, str]
    edges: tuple[Edge, ...]
    parents: Mapping[str, str] = field(default_factory=dict)

    def directions(self) -> dict[tuple[str, str], Link]:
        """Each direction of each edge, by the sites that it leads from and to."""
        found = {(edge.first, edge.second): edge.there for edge in self.edges}
        return found | {(edge.second, edge.first): edge.back for edge in self.edges}

    def names(self) -> dict[tuple[str, str], tuple[str, str]]:
        """By the sites that they lead from and to, what rows and events call both directions of each edge.

        The edge's name, and ``up`` from its first site to the second, ``down`` the other way.
        """
        there = {(edge.first, edge.second): (edge.name, "up") for edge in self.edges}
        return there | {(edge.second, edge.first): (edge.name, "down") for edge in self.edges}

    def between(self, first: str, second: str) -> tuple[str, ...]:
        """The sites on the way from one device to another, the first's own first; empty: both are at the same.

        Where devices pass on, it leads towards the server until the two ways there meet.
        """
        if not self.parents:
            near, far = self.sites[first], self.sites[second]
            return () if near == far else (near, far)
        up, down = self._to_server(first), self._to_server(second)
        while len(up) > 1 and len(down) > 1 and up[-2] == down[-2]:
            up.pop()
            down.pop()
        return (*up, *reversed(down[:-1]))

    def _to_server(self, device: str) -> list[str]:
        found = [device]
        while found[-1] in self.parents:
            found.append(self.parents[found[-1]])
        return found
