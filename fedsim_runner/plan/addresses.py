"""The addresses of a run's devices. No run reaches another, nor the lab host, so all use the same."""

from __future__ import annotations

import ipaddress

from .placement_error import PlacementError

# Set aside for testing network devices, so no real network uses it (RFC 2544, appendix C.2.2).
TESTBED_RANGE = ipaddress.IPv4Network("198.18.0.0/15")
# The network and broadcast addresses.
UNUSABLE = 2
LARGEST_PREFIX = 24


def choose_subnet(devices: int) -> ipaddress.IPv4Network:
    """Return the first subnet of the testbed range that holds ``devices`` addresses, a /24 or larger.

    Raises:
        PlacementError: the range does not hold so many.
    """
    prefix = min(LARGEST_PREFIX, 32 - (devices + UNUSABLE - 1).bit_length())
    if prefix < TESTBED_RANGE.prefixlen:
        raise PlacementError(f"{devices} devices do not fit into {TESTBED_RANGE}: use fewer devices")
    return next(TESTBED_RANGE.subnets(new_prefix=prefix))
