"""The routes of a plan's clients to the server. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..contract.link import Link
from ..contract.routes import Route, routes_to_server
from ..spec.experiment import Experiment
from .model import PlacedDevice


def plan_routes(experiment: Experiment, placed: Sequence[PlacedDevice]) -> dict[str, Route]:
    """The route of each client, by name, in the order of the plan's devices."""
    links = {item.device.name: item.device.network.links for item in placed}
    return routes_to_server(experiment.server.name, links, experiment.topology)


@dataclass(frozen=True)
class SharedLink:
    """A link that several clients' messages cross: on their way to the server (``up``), and from there (``down``)."""

    clients: int
    up: Link
    down: Link


def shared_links(experiment: Experiment, placed: Sequence[PlacedDevice]) -> list[SharedLink]:
    """The edges, and the own links of devices that pass on what others send; not the server's own."""
    topology = experiment.topology
    if topology is None:
        return []
    routes, edges = plan_routes(experiment, placed), topology.directions()
    crossing = Counter(edge for route in routes.values() for edge in route.edges)
    found = [SharedLink(number, edges[edge], edges[edge[::-1]]) for edge, number in crossing.items()]
    if topology.parents:
        links = {item.device.name: item.device.network.links for item in placed}
        passed = Counter(name for route in routes.values() for name in route.sites[1:-1])
        for name, number in passed.items():
            own = links[name]
            found += [SharedLink(number + 1, own.up, own.down), SharedLink(number, own.down, own.up)]
    return found
