"""One direction of a device's link, in the units that every process uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Link:
    """One direction of a device's link. ``rate_bps`` None: not limited. Delay is one way."""

    rate_bps: int | None = None
    delay_us: int = 0
    jitter_us: int = 0
    loss: float = 0.0
