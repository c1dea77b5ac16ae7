"""Settings as the packet process takes them in commands (orders.py). Pure."""

from __future__ import annotations

from typing import Any

from .arrivals import Arrivals, Senders, link_data
from .crossings import Crossings


def all_senders(senders: Senders) -> dict[str, Any]:
    """What concerns senders, of all of the run, as the packet process takes it."""
    everyone = senders.of_all
    return {"seed": everyone.seed, "ups": everyone.ups, "groups": everyone.groups, "ways_us": everyone.ways_us}


def between(crossings: Crossings) -> dict[str, Any]:
    """What lies between sites, as the packet process takes it."""
    return {"sites": crossings.sites, "edges": crossings.edges, "hops": crossings.hops}


def settings_of(arrivals: Arrivals) -> dict[str, Any]:
    """The settings of one device as the packet process takes them."""
    return {
        "address": arrivals.address,
        "down": link_data(arrivals.down),
        "maxlen": arrivals.queue_packets,
        "gso": not arrivals.single_packets,
        "site": arrivals.site,
        "guest": arrivals.guest,
    }
