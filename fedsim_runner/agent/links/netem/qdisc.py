"""The netem qdisc: all of one direction of a link."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from fedsim_runner.contract.link import Link
from fedsim_runner.contract.queue_size import FRAME_BYTES, UNLIMITED_BPS, buffer_bytes

from ..root_qdisc import Qdisc

ORDERING_RATE_BPS = 100_000_000_000  # netem keeps packets in order only if it has a rate


@dataclass(frozen=True)
class Netem(Qdisc):
    """A netem qdisc; ``limit`` in packets."""

    rate_bps: int | None = None
    delay_us: int = 0
    jitter_us: int = 0
    loss: float = 0.0
    limit: int = 0

    kind: ClassVar[str] = "netem"

    @classmethod
    def for_link(cls, link: Link) -> Netem | None:
        """The qdisc for one direction of a link; its queue holds rate x (delay + jitter) plus the buffer."""
        if link.rate_bps is None and not link.delays_or_drops:
            return None
        rate = link.rate_bps or UNLIMITED_BPS
        in_flight = rate / 8 * (link.delay_us + link.jitter_us) / 1e6
        limit = math.ceil((in_flight + buffer_bytes(rate)) / FRAME_BYTES)
        kept_rate = link.rate_bps or (ORDERING_RATE_BPS if link.jitter_us else None)
        return cls(kept_rate, link.delay_us, link.jitter_us, link.loss, limit)

    def arguments(self) -> list[str]:
        arguments = ["limit", str(self.limit)]
        if self.delay_us or self.jitter_us:
            arguments += ["delay", f"{self.delay_us}us"]
        if self.jitter_us:
            arguments.append(f"{self.jitter_us}us")
        if self.loss:
            arguments += ["loss", "random", f"{self.loss * 100:.8g}%"]
        if self.rate_bps:
            arguments += ["rate", f"{self.rate_bps}bit"]
        return arguments

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Netem:
        delay = options.get("delay") or {}
        rate = int((options.get("rate") or {}).get("rate", 0)) * 8
        return cls(
            rate or None,
            round(float(delay.get("delay", 0)) * 1e6),
            round(float(delay.get("jitter", 0)) * 1e6),
            float((options.get("loss-random") or {}).get("loss", 0)),
            int(options.get("limit", 0)),
        )

    def matches(self, active: object) -> bool:
        return (
            isinstance(active, Netem)
            and self.limit == active.limit
            and abs((self.rate_bps or 0) - (active.rate_bps or 0)) <= 8
            and abs(self.delay_us - active.delay_us) <= 2
            and abs(self.jitter_us - active.jitter_us) <= 2
            and abs(self.loss - active.loss) <= max(1e-6, self.loss * 1e-3)
        )

    def __str__(self) -> str:
        parts = [self.kind]
        if self.rate_bps and self.rate_bps != ORDERING_RATE_BPS:
            parts.append(f"rate {self.rate_bps} bit/s")
        if self.delay_us or self.jitter_us:
            parts.append(f"delay {self.delay_us} us")
        if self.jitter_us:
            parts.append(f"jitter {self.jitter_us} us")
        if self.loss:
            parts.append(f"loss {self.loss:.6g}")
        return " ".join([*parts, f"limit {self.limit} packets"])
