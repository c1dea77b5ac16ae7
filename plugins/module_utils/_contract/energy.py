"""What energy a device type takes, as a model of published power figures. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Bytes in a megabyte of the figures.
MEGABYTE: Final = 10**6


@dataclass(frozen=True)
class Joules:
    """Energy of a device, by what it was for: being on, computing, and sending and receiving."""

    idle: float
    active: float
    radio: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.idle + self.active + self.radio


@dataclass(frozen=True)
class EnergyModel:
    """Power figures of a device type.

    Attributes:
        idle_watts: of the whole device, while it does nothing.
        active_watts: of the whole device, while it computes with all that it has.
        joules_per_megabyte_up: what sending 10**6 bytes takes besides.
        joules_per_megabyte_down: what receiving them takes.
        source: where the figures are from.
    """

    idle_watts: float
    active_watts: float
    source: str
    joules_per_megabyte_up: float = 0.0
    joules_per_megabyte_down: float = 0.0

    def joules(self, seconds: float, active_seconds: float, bytes_up: float, bytes_down: float) -> Joules:
        """Return what a device takes: idle power all the time, what is more while it computes, and for each byte.

        Args:
            seconds: device time.
            active_seconds: of these, in which it computed.
            bytes_up: that it sent.
            bytes_down: that it received.
        """
        radio = self.joules_per_megabyte_up * bytes_up + self.joules_per_megabyte_down * bytes_down
        return Joules(
            self.idle_watts * seconds, (self.active_watts - self.idle_watts) * active_seconds, radio / MEGABYTE
        )
