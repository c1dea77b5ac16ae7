"""One direction of a device's link, in the units that every process uses, and the interface that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: A device's interface on the run's network.
INTERFACE = "eth0"


@dataclass(frozen=True)
class Link:
    """One direction: bit/s (None: not limited), microseconds one way, loss as a probability in 0..1."""

    rate_bps: int | None = None
    delay_us: int = 0
    jitter_us: int = 0
    loss: float = 0.0

    @property
    def delays_or_drops(self) -> bool:
        """Needs more than a rate."""
        return self.delay_us > 0 or self.jitter_us > 0 or self.loss > 0

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Link:
        """From the device file."""
        rate = data.get("rate_bps")
        return cls(
            int(rate) if rate else None,
            int(data.get("delay_us") or 0),
            int(data.get("jitter_us") or 0),
            float(data.get("loss") or 0.0),
        )
