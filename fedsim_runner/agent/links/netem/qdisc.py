"""One direction of a link as two qdiscs: a netem that delays and drops, and below it one for the rate and its queue.

netem counts its limit in packets, delayed ones included: one for all would drop small packets long before the queue is
full. In the lower one only those wait that the rate holds up. A tbf there would count in bytes, but let a lone packet
pass without the time that its own bytes take; and a red in between takes its netem for empty whenever that waits.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from fedsim_runner.contract.link import Link
from fedsim_runner.contract.queue_size import FRAME_BYTES, UNLIMITED_BPS, buffer_bytes

from .. import rtnetlink
from ..root_qdisc import Qdisc

ORDERING_RATE_BPS = 100_000_000_000  # netem keeps packets in order only if it has a rate
SMALL_PACKETS = 20_000  # room for packets smaller than a frame that are on their way
# A root of another handle is a new one, with nothing below it; one of the same handle is changed in place. The delay of
# one with a handle of the second pair is changed all the time.
_LIMITED, _UNLIMITED = 1, 2
_MOVING = rtnetlink.MOVING_HANDLES.start
_RATE = 3


@dataclass(frozen=True)
class Netem(Qdisc):
    """The qdiscs; ``limit`` of packets that are delayed, ``queue`` of those that wait for the rate.

    Jitter is not the kernel's: the delay moves by as much.
    """

    rate_bps: int | None = None
    delay_us: int = 0
    jitter_us: int = 0
    loss: float = 0.0
    limit: int = 0
    queue: int = 0

    kind: ClassVar[str] = "netem"

    @classmethod
    def for_link(cls, link: Link) -> Netem | None:
        """The qdiscs for one direction of a link."""
        if link.rate_bps is None and not link.delays_or_drops:
            return None
        in_flight = (link.rate_bps or UNLIMITED_BPS) / 8 * (link.delay_us + link.jitter_us) / 1e6 / FRAME_BYTES
        queue = 0 if link.rate_bps is None else buffer_bytes(link.rate_bps) // FRAME_BYTES
        limit = SMALL_PACKETS + math.ceil(in_flight)
        return cls(link.rate_bps, link.delay_us, link.jitter_us, link.loss, limit, queue)

    def arguments(self) -> list[str]:
        arguments = ["limit", str(self.limit)]
        if self.delay_us or self.jitter_us:
            arguments += ["delay", f"{self.delay_us}us"]
        if self.loss:
            arguments += ["loss", "random", f"{self.loss * 100:.8g}%"]
        if self.jitter_us:
            arguments += ["rate", f"{ORDERING_RATE_BPS}bit"]
        return arguments

    def commands(self, interface: str) -> list[list[str]]:
        replace = ["qdisc", "replace", "dev", interface]
        handle = (_UNLIMITED if self.rate_bps is None else _LIMITED) + (_MOVING if self.jitter_us else 0)
        root = [*replace, "root", "handle", f"{handle:x}:", self.kind, *self.arguments()]
        if self.rate_bps is None:
            return [root]
        rate = [self.kind, "limit", str(self.queue), "rate", f"{self.rate_bps}bit"]
        return [root, [*replace, "parent", f"{handle:x}:1", "handle", f"{_RATE:x}:", *rate]]

    @classmethod
    def parse(cls, options: Mapping[str, Any], below: Sequence[Mapping[str, Any]]) -> Netem:
        delay = options.get("delay") or {}
        rate = next((entry.get("options") or {} for entry in below if entry.get("kind") == cls.kind), {})
        return cls(
            int((rate.get("rate") or {}).get("rate", 0)) * 8 or None,
            round(float(delay.get("delay", 0)) * 1e6),
            round(float(delay.get("jitter", 0)) * 1e6),
            float((options.get("loss-random") or {}).get("loss", 0)),
            int(options.get("limit", 0)),
            int(rate.get("limit", 0)),
        )

    def matches(self, active: object) -> bool:
        return (
            isinstance(active, Netem)
            and (self.limit, self.queue) == (active.limit, active.queue)
            and abs((self.rate_bps or 0) - (active.rate_bps or 0)) <= 8
            # The kernel has one delay at a time of those that jitter makes, and nothing to draw.
            and abs(self.delay_us - active.delay_us) <= 2 + self.jitter_us
            and active.jitter_us == 0
            and abs(self.loss - active.loss) <= max(1e-6, self.loss * 1e-3)
        )

    def __str__(self) -> str:
        parts = [self.kind]
        if self.rate_bps:
            parts.append(f"rate {self.rate_bps} bit/s queue {self.queue} frames")
        if self.delay_us or self.jitter_us:
            parts.append(f"delay {self.delay_us} us")
        if self.jitter_us:
            parts.append(f"jitter {self.jitter_us} us")
        if self.loss:
            parts.append(f"loss {self.loss:.6g}")
        return " ".join([*parts, f"limit {self.limit} packets"])


def moved_options(link: Link, delay_us: int) -> bytes:
    """The options, in the kernel's own form, that give the root qdisc of such a link another delay."""
    wanted = Netem.for_link(link)
    assert wanted is not None
    # struct tc_netem_qopt: latency (that of the attribute counts), limit, loss, gap, duplicate, jitter.
    head = struct.pack("=6I", 0, wanted.limit, round(link.loss * 0xFFFFFFFF), 0, 0, 0)
    return head + struct.pack("=HHq", 12, rtnetlink.DELAY_ATTRIBUTE, delay_us * 1000)
