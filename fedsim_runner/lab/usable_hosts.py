"""The lab hosts that this control node may use."""

from __future__ import annotations

from .host import LabHost

# The control node's name in inventories when it is its own lab host.
CONTROL_NODE = "local"


def list_lab_hosts() -> tuple[LabHost, ...]:
    """Return their names and how to reach them; none is contacted, so their capacity is not filled in."""
    return (LabHost(CONTROL_NODE),)
