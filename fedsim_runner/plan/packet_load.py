"""Whether the packets of a course are more than a link back end passes in time. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..agent.links import backends
from ..contract.link import Link
from ..contract.queue_size import FRAME_BYTES, passes_super_packets
from ..spec.experiment import Experiment
from .model import MessageSizes, PlacedDevice, group_by_host
from .routes import plan_routes

# A receiver answers every second frame.
ANSWERS = 1.5
# What takes less time at that rate is over before it matters.
SHORT_S = 0.5


def describe_packet_load(experiment: Experiment, placed: Sequence[PlacedDevice], sizes: MessageSizes) -> Iterator[str]:
    """Yield a note for each lab host that may have to pass more packets than a back end can.

    Links are taken to be full in one direction at a time: the server sends the model, then the clients answer.
    """
    server = experiment.server.network
    passes_on = experiment.topology is not None and experiment.topology.parents
    routes = plan_routes(experiment, placed)
    hops = {client: len(route.edges) if passes_on else 1 for client, route in routes.items()}
    slow = [backend for backend in backends.load_all() if backend.packets_per_s is not None]
    for backend in slow:
        limit = backend.packets_per_s or 0
        if experiment.link_backend not in (backends.AUTO, backend.name):
            continue
        for host, here in sorted(group_by_host(placed).items()):
            clients = [item.device.network for item in here if item.device.role == "client"]
            ways = (
                (server.up, [client.down for client in clients], sizes.to_client),
                (server.down, [client.up for client in clients], sizes.from_client),
            )
            # Each device that passes a packet on is one more that it arrives at.
            passing = [hops[item.device.name] for item in here if item.device.role == "client"]
            long = [way for way in ways if len(clients) * way[2] / FRAME_BYTES > limit * SHORT_S]
            most = max((_packets_per_s(own, links) for own, links, _ in long), default=0.0)
            most *= sum(passing) / max(1, len(passing))
            if most > limit:
                where = "" if experiment.link_backend == backend.name else ", used where its kernel has nothing better,"
                yield (
                    f"lab host {host}: clients whose links are all full send or receive {most:,.0f} packets in a "
                    f"second, and back end {backend.name}{where} passes about {limit:,} in time; packets may be late: "
                    "the report says how many were, and fewer devices, slower links or more lab hosts help"
                )


def _packets_per_s(own: Link, links: Sequence[Link]) -> float:
    """Packets in a second if all of these links are full, unless the server's own is the narrowest."""
    cut = [link.rate_bps for link in links if link.rate_bps is not None and not passes_super_packets(link.rate_bps)]
    together = float(sum(cut))
    if own.rate_bps is not None:
        together = min(together, float(own.rate_bps))
    return together / 8 / FRAME_BYTES * ANSWERS
