"""Device time against wall time. Pure.

In a dilated run everything that a device can notice is scaled by one factor: with 0.25, a device has a quarter of its
processor and of its link's rate, delays are four times as long, and whatever lasts a second of device time takes four
seconds by the lab host's clocks. So what is short in the lab, its processors and its network's rate, is enough for
devices that would not fit in real time, and the ratio of computing to sending stays that of the devices.

Sources: Gupta et al., To Infinity and Beyond: Time-Warped Network Emulation, NSDI 2006 (the time dilation factor is
``1 / factor`` here); Gupta et al., DieCast: Testing Distributed Systems with an Accurate Scale Model, NSDI 2008. Both
change the clock of virtual machines. Here participants keep the lab host's clock, and what they are given is scaled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, overload

Time = Literal["real", "dilated"]

#: A factor in a file that is none of these was not written by a run.
LEAST, MOST = 1e-6, 1e6


@dataclass(frozen=True)
class TimeScale:
    """How device time and wall time are related: device seconds = wall seconds x factor.

    Attributes:
        factor: above 0; 1 in real time. With 0.25 a device second takes four wall seconds.
    """

    factor: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.factor < float("inf"):
            raise ValueError(f"a time factor is a finite number above 0, not {self.factor!r}")

    @property
    def is_real(self) -> bool:
        """Whether device time is wall time."""
        return self.factor == 1.0

    @overload
    def to_wall(self, device_seconds: float) -> float: ...
    @overload
    def to_wall(self, device_seconds: None) -> None: ...
    def to_wall(self, device_seconds: float | None) -> float | None:
        """How long a span of device time takes by the lab host's clocks, in any unit; None stays None."""
        return None if device_seconds is None else device_seconds / self.factor

    @overload
    def to_device(self, wall_seconds: float) -> float: ...
    @overload
    def to_device(self, wall_seconds: None) -> None: ...
    def to_device(self, wall_seconds: float | None) -> float | None:
        """How long a span by the lab host's clocks is in device time, in any unit; None stays None."""
        return None if wall_seconds is None else wall_seconds * self.factor

    @overload
    def rate(self, device_rate: float) -> float: ...
    @overload
    def rate(self, device_rate: None) -> None: ...
    def rate(self, device_rate: float | None) -> float | None:
        """What is so much per device second, per wall second; None stays None."""
        return None if device_rate is None else device_rate * self.factor

    @overload
    def device_rate(self, wall_rate: float) -> float: ...
    @overload
    def device_rate(self, wall_rate: None) -> None: ...
    def device_rate(self, wall_rate: float | None) -> float | None:
        """What is so much per wall second, per device second; None stays None."""
        return None if wall_rate is None else wall_rate / self.factor

    def describe(self, wall_seconds: float, decimals: int | None = None) -> str:
        """A span for people, in device time: ``90 s``, or ``90 s of device time`` in a dilated run."""
        seconds = self.to_device(wall_seconds)
        text = f"{seconds:g} s" if decimals is None else f"{seconds:.{decimals}f} s"
        return text if self.is_real else f"{text} of device time"

    def describe_wall(self, wall_seconds: float) -> str:
        """A span that is the lab's, for people: ``90 s``, or ``90 s of wall time`` in a dilated run."""
        return f"{wall_seconds:.0f} s" if self.is_real else f"{wall_seconds:.0f} s of wall time"


#: Device time is wall time.
REAL_TIME = TimeScale()


def read_factor(value: object) -> TimeScale:
    """Return the scale with a factor from a file of a run; real time if there is none, or none that makes sense."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not LEAST <= value <= MOST:
        return REAL_TIME
    return TimeScale(float(value))
