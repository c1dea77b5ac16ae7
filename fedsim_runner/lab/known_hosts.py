"""The lab hosts that this control node may use."""

from __future__ import annotations

from .host import LabHost

# The control node as its own lab host goes by this name in inventories.
CONTROL_NODE = "local"


def known_hosts() -> tuple[LabHost, ...]:
    """Their names and how to reach them, without what they can carry: none is asked."""
    return (LabHost(CONTROL_NODE),)
