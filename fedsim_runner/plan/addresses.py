"""The run's subnet, chosen around the networks that the lab already uses."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable

from .placement_error import PlacementError

# Set aside for testing network devices, so no real network uses it (RFC 2544, appendix C.2.2).
TESTBED_RANGE = ipaddress.IPv4Network("198.18.0.0/15")
# The network and broadcast addresses, and the gateway, which Docker requires.
UNUSABLE = 3
LARGEST_PREFIX = 24


def free_subnet(devices: int, in_use: Iterable[str], run: str) -> ipaddress.IPv4Network:
    """Choose a free subnet of the testbed range that holds ``devices`` addresses, a /24 or larger.

    The run's name decides where the search starts: two runs that are planned at the same moment, by users or control
    nodes that know nothing of each other, seldom choose the same subnet, and the same run always does.

    Raises:
        PlacementError: no such subnet is free.
    """
    prefix = min(LARGEST_PREFIX, 32 - (devices + UNUSABLE - 1).bit_length())
    if prefix < TESTBED_RANGE.prefixlen:
        raise PlacementError(f"{devices} devices do not fit into {TESTBED_RANGE}: use fewer devices")
    taken = [
        network
        for network in (ipaddress.IPv4Network(text, strict=False) for text in in_use)
        if network.overlaps(TESTBED_RANGE) and network.prefixlen > 0
    ]
    candidates = list(TESTBED_RANGE.subnets(new_prefix=prefix))
    first = int.from_bytes(hashlib.sha256(run.encode()).digest()[:8], "big") % len(candidates)
    for candidate in candidates[first:] + candidates[:first]:
        if not any(candidate.overlaps(network) for network in taken):
            return candidate
    raise PlacementError(
        f"no free /{prefix} is left in {TESTBED_RANGE}: {len(taken)} networks of the lab are in it; "
        "remove finished runs (fedsim-provision down --all) or unused Docker networks"
    )
