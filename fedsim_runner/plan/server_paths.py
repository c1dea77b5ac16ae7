"""What the links between a client and the server are together: round trip, bandwidth-delay product and queue. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..contract.link import Link
from ..contract.queue_size import buffer_bytes
from ..contract.slow_links import round_trip_s
from .model import Plan
from .routes import plan_routes


@dataclass(frozen=True)
class Way:
    """One direction of a path: the sender's uplink, the edges between, then the receiver's downlink.

    Attributes:
        rate_bps: of the slowest of them; None: none has a limit.
        queue_bytes: room in front of that rate; None: there is no rate to wait for.
    """

    rate_bps: int | None
    queue_bytes: int | None

    def product_bytes(self, round_trip_s: float) -> float | None:
        """Return the bandwidth-delay product: what a sender must have under way to fill the path.

        None: the path has no rate. ``round_trip_s`` is that of the path without queues.
        """
        return None if self.rate_bps is None else self.rate_bps / 8 * round_trip_s


@dataclass(frozen=True)
class ServerPath:
    """The path of a client to the server (``up``) and back (``down``).

    Attributes:
        client: the device's name.
        round_trip_s: all delays; jitter, queues and the time of a packet's own bytes come on top.
        sites: those on the way to the server, in order; empty: there is no edge on it.
    """

    client: str
    round_trip_s: float
    up: Way
    down: Way
    sites: tuple[str, ...] = ()


def server_paths(plan: Plan) -> Iterator[ServerPath]:
    """Yield the path of each client, in the order of the plan's devices."""
    for client, route in plan_routes(plan.experiment, plan.placed).items():
        yield ServerPath(client, round_trip_s(route), _way(route.up), _way(route.down), route.sites)


def alike(paths: Iterable[ServerPath]) -> dict[ServerPath, list[str]]:
    """Return the first of all paths that are the same, with the names of their clients."""
    clients: dict[ServerPath, list[str]] = {}
    for path in paths:
        clients.setdefault(replace(path, client=""), []).append(path.client)
    return {replace(path, client=names[0]): names for path, names in clients.items()}


def _way(links: Sequence[Link]) -> Way:
    rates = [(link.rate_bps, link.queue) for link in links if link.rate_bps is not None]
    if not rates:
        return Way(None, None)
    slower = min(rates, key=lambda pair: pair[0])
    return Way(slower[0], buffer_bytes(*slower))
