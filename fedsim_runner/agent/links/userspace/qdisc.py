"""The token bucket at a device's end of its uplink, which keeps a flood from the packet process.

The packet process holds the rate: a queue in front of this interface would not fill, because what waits there counts
against the sender's socket (TCP small queues), and a lone frame would pass at once. What this bucket lets through is so
much more than the rate that it never holds up a connection.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from fedsim_runner.contract.link import Link
from fedsim_runner.contract.queue_size import SUPER_PACKET_S, UNLIMITED_BPS, buffer_bytes

from ...kernel import netlink, qdisc_changes, tbf_form
from ...kernel.kernel_qdiscs import ROOT
from ...kernel.root_qdisc import Qdisc

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
    def for_link(cls, link: Link, may_change: bool = False, fastest_bps: int = 0) -> Tbf | None:
        """The qdisc for an uplink: four times its rate, a burst of 4 ms or one frame, and room for the buffer.

        Args:
            link: the uplink.
            may_change: it may be changed in place, so there is a qdisc even if the link has no rate now.
            fastest_bps: the highest rate that the link may get. The qdisc is then the same for all of its rates, so
                that a change of them is the packet process's alone.
        """
        rate_bps = link.rate_bps or (UNLIMITED_BPS if may_change else None)
        if rate_bps is None:
            return None
        rate_bps = max(rate_bps, fastest_bps)
        burst = max(math.ceil(rate_bps / 8 * SUPER_PACKET_S), MIN_BURST_BYTES)
        return cls(
            TIMES_THE_RATE * rate_bps, burst + buffer_bytes(rate_bps, link.queue if link.rate_bps else None), burst
        )

    def forms(self, before: object) -> Sequence[netlink.Form] | None:
        if not isinstance(before, Tbf):
            return None
        return [qdisc_changes.qdisc_change(0, ROOT, self.kind, self.kernel_form())]

    def read_back(self, index: int, before: object, shown: qdisc_changes.Shown, channel: socket.socket) -> Tbf:
        return self.parse_kernel_form(qdisc_changes.options_of(shown, index, ROOT, self.kind))

    def kernel_form(self) -> bytes:
        """The options in the kernel's own form."""
        return tbf_form.encode(self.rate_bps, self.limit, self.burst)

    @classmethod
    def parse_kernel_form(cls, options: bytes) -> Tbf:
        """Build it from what the kernel shows."""
        return cls(*tbf_form.decode(options))

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
