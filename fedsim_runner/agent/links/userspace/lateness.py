"""How late packets were: a link is only as true as the process that holds its packets is punctual."""

from __future__ import annotations

from dataclasses import asdict, dataclass

#: Lateness that counts, in seconds. Less is not worth a look at each packet.
SLIGHT_S, MUCH_S = 0.001, 0.005


@dataclass
class Lateness:
    """Packets that passed, and how many of them left later than they were due.

    Attributes:
        packets: all.
        late_1ms: those that left more than 1 ms late.
        late_5ms: those that left more than 5 ms late.
        latest_us: the latest, in microseconds.
    """

    packets: int = 0
    late_1ms: int = 0
    late_5ms: int = 0
    latest_us: int = 0

    def add_late(self, seconds: float) -> None:
        """Count a packet that was late by more than :data:`SLIGHT_S`."""
        self.late_1ms += 1
        self.late_5ms += seconds > MUCH_S
        self.latest_us = max(self.latest_us, round(seconds * 1e6))

    def as_dict(self) -> dict[str, int]:
        """The counters as JSON data."""
        return asdict(self)
