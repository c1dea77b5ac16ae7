"""The token bucket at a device's end of its uplink, which keeps a flood from the packet process.

The packet process holds the rate: a queue in front of this interface would not fill, because what waits there counts
against the sender's socket (TCP small queues), and a lone frame would pass at once. What this bucket lets through is so
much more than the rate that it never holds up a connection.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from fedsim_runner.contract.link import Link
from fedsim_runner.contract.queue_size import SUPER_PACKET_S, buffer_bytes

from ..root_qdisc import Qdisc

#: A connection that looks for its rate sends twice as much for a while.
TIMES_THE_RATE = 4
MIN_BURST_BYTES = 1600  # one frame: with less, tbf passes nothing


@dataclass(frozen=True)
class Tbf(Qdisc):
    """A tbf qdisc; ``limit`` and ``burst`` in bytes."""

    rate_bps: int
    limit: int
    burst: int

    kind: ClassVar[str] = "tbf"

    @classmethod
    def for_link(cls, link: Link) -> Tbf | None:
        """The qdisc for an uplink: four times its rate, a burst of 4 ms or one frame, and room for the buffer."""
        if link.rate_bps is None:
            return None
        burst = max(math.ceil(link.rate_bps / 8 * SUPER_PACKET_S), MIN_BURST_BYTES)
        return cls(TIMES_THE_RATE * link.rate_bps, burst + buffer_bytes(link.rate_bps, link.queue), burst)

    def arguments(self) -> list[str]:
        return ["rate", f"{self.rate_bps}bit", "burst", f"{self.burst}b", "limit", f"{self.limit}b"]

    @classmethod
    def parse(cls, options: Mapping[str, Any], below: Sequence[Mapping[str, Any]]) -> Tbf:
        return cls(int(options.get("rate", 0)) * 8, int(options.get("limit", 0)), int(options.get("burst", 0)))

    def matches(self, active: object) -> bool:
        return (
            isinstance(active, Tbf)
            and abs(self.limit - active.limit) <= 1
            and abs(self.rate_bps - active.rate_bps) <= 8
            # The kernel keeps the burst in clock ticks.
            and abs(self.burst - active.burst) <= max(2.0, self.burst * 0.01)
        )

    def __str__(self) -> str:
        return f"{self.kind} rate {self.rate_bps} bit/s burst {self.burst} bytes limit {self.limit} bytes"
