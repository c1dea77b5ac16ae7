"""How far a shipment of images is, in lines for people."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.shipment_lines import SHIPMENT
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.units import size
from ansible_collections.fedsim.testbed.plugins.plugin_utils._image_shipment import Progress

#: Seconds between two lines.
EVERY_S = 5
#: Of more receivers than this, only the slowest one is named.
NAMED = 4


class ShipmentLines:
    """The lines about the shipment of one lab host."""

    def __init__(self, builder: str) -> None:
        self._builder = builder
        self._began_s = self._said_s = 0.0
        self._done: dict[str, Progress] = {}

    def next(self, receivers: Sequence[Progress], now_s: float) -> str | None:
        """Return what there is to say about the receivers at this time; None if the last line was a moment ago."""
        self._began_s = self._began_s or now_s
        self._said_s = self._said_s or now_s
        self._done |= {one.name: one for one in receivers}
        if now_s - self._said_s < EVERY_S:
            return None
        self._said_s = now_s
        busy = [one for one in receivers if not one.ended]
        shown = busy if len(busy) <= NAMED else [min(busy, key=lambda one: one.sent)]
        more = f", the slowest of {len(busy)}" if len(busy) > len(shown) else ""
        return f"{SHIPMENT}{', '.join(map(_describe, shown))}{more}" if shown else None

    def last(self, now_s: float) -> str | None:
        """Return what was sent to whom; None if nobody got it all."""
        got = [one for one in self._done.values() if not one.error]
        if not got:
            return None
        to = ", ".join(one.name for one in got) if len(got) <= NAMED else f"{len(got)} lab hosts"
        sent, packed = max(one.sent for one in got), max(one.packed for one in got)
        took = now_s - self._began_s
        return f"{SHIPMENT}{size(sent)}, as {size(packed)}, from {self._builder} to {to} in {took:.0f} s"


def _describe(one: Progress) -> str:
    if one.archive_ended:
        return f"{one.name} loads {size(one.sent)}"
    return f"{one.name} has {size(one.sent)} of {size(max(one.total, one.sent))}"
