"""The routes of a plan's clients to the server. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from ..contract.routes import Route, routes_to_server
from ..spec.experiment import Experiment
from .model import PlacedDevice


def plan_routes(experiment: Experiment, placed: Sequence[PlacedDevice]) -> dict[str, Route]:
    """The route of each client, by name, in the order of the plan's devices."""
    links = {item.device.name: item.device.network.links for item in placed}
    return routes_to_server(experiment.server.name, links, experiment.topology)


def clients_over_edges(routes: Mapping[str, Route]) -> Counter[tuple[str, str]]:
    """How many clients' routes have each edge, by the sites that it leads from and to on the way to the server."""
    return Counter(edge for route in routes.values() for edge in route.edges)
