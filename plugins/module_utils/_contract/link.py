"""A device's link, in the units that every process uses, and the interface that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .typed_json import load

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
        """Whether the link needs more than a rate limit."""
        return self.delay_us > 0 or self.jitter_us > 0 or self.loss > 0

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Link:
        """Return the link that JSON data describe.

        Raises:
            FormError: the data are not of this form.
        """
        return load(cls, data, "link")

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return asdict(self)


@dataclass(frozen=True)
class Links:
    """Both directions of a device's link: ``up`` for what it sends, ``down`` for what it receives."""

    up: Link
    down: Link
