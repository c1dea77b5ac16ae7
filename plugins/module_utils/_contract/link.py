"""A device's link, in the units that every process uses, and the interface that it belongs to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from .gilbert_elliott import GilbertElliott
from .jitter_distribution import Distribution, DistributionName, Moments
from .typed_json import OMIT_DEFAULT, dump, load

Discipline = Literal["fifo", "codel", "fq_codel"]

#: The delay that codel and fq_codel let stand (RFC 8289).
CODEL_TARGET_US: Final = 5_000

#: A device's interface on the run's network.
INTERFACE = "eth0"


@dataclass(frozen=True)
class Queue:
    """The queue in front of a link's rate, where a default is not to apply (queue_size.py).

    Attributes:
        buffer_us: its room as the time for which it can delay; None: ``buffer_bytes`` or the default.
        buffer_bytes: its room in bytes of frames, whatever the rate; beside ``buffer_us`` the least that it has.
        discipline: which packet leaves it, and which is dropped: fifo; codel (RFC 8289); fq_codel (RFC 8290).
        target_us: the delay that codel and fq_codel let stand; None: RFC 8289's. The interval is 20 times that.
    """

    buffer_us: int | None = field(default=None, metadata=OMIT_DEFAULT)
    buffer_bytes: int | None = field(default=None, metadata=OMIT_DEFAULT)
    discipline: Discipline = field(default="fifo", metadata=OMIT_DEFAULT)
    target_us: int | None = field(default=None, metadata=OMIT_DEFAULT)


@dataclass(frozen=True)
class Link:
    """One direction: bit/s (None: not limited), microseconds one way, loss as a probability in 0..1.

    Attributes:
        jitter_us: J, of which a distribution gives the deviation and the furthest values (jitter_distribution.py).
        queue: what waits for the rate; None: the default queue.
        jitter_distribution: how the delay is distributed.
        jitter_table: the numbers of the distribution ``table``, in rising order.
        bursts: how packets are lost, if not independently; ``loss`` is then its mean.
        duplicate: probability that a packet arrives twice.
        corrupt: probability that a bit of a packet is flipped.
    """

    rate_bps: int | None = None
    delay_us: int = 0
    jitter_us: int = 0
    loss: float = 0.0
    queue: Queue | None = field(default=None, metadata=OMIT_DEFAULT)
    jitter_distribution: DistributionName = field(default="uniform", metadata=OMIT_DEFAULT)
    jitter_table: tuple[int, ...] = field(default=(), metadata=OMIT_DEFAULT)
    bursts: GilbertElliott | None = field(default=None, metadata=OMIT_DEFAULT)
    duplicate: float = field(default=0.0, metadata=OMIT_DEFAULT)
    corrupt: float = field(default=0.0, metadata=OMIT_DEFAULT)

    @property
    def delays_or_drops(self) -> bool:
        """Whether the link needs more than a rate limit."""
        return self.delay_us > 0 or self.jitter_us > 0 or self.alters_packets

    @property
    def is_shaped(self) -> bool:
        """Whether anything happens to packets."""
        return self.rate_bps is not None or self.delays_or_drops

    @property
    def discipline(self) -> Discipline:
        """That of its queue."""
        return "fifo" if self.queue is None or self.rate_bps is None else self.queue.discipline

    @property
    def alters_packets(self) -> bool:
        """Whether it drops, duplicates or corrupts packets, which has to happen to single frames."""
        return self.loss > 0 or self.duplicate > 0 or self.corrupt > 0

    @property
    def arrivals(self) -> float:
        """How many packets are in its queue for each that is sent."""
        return (1 - self.loss) * (1 + self.duplicate)

    @property
    def loss_range(self) -> tuple[float, float]:
        """The least and the most of the packets that do not arrive intact, as their receiver or a counter sees it.

        Of a packet with a twin one is there even if the other is lost, and what was corrupted may be so where nobody
        looks.
        """
        least = self.loss * (1 - self.duplicate) / (1 + self.duplicate)
        return least, 1 - (1 - self.loss) * (1 - self.corrupt)

    @property
    def distribution(self) -> Distribution:
        """The distribution of its jitter."""
        return Distribution(self.jitter_distribution, self.jitter_table)

    @property
    def delay_moments(self) -> Moments:
        """Mean and deviation of the delay around ``delay_us``, in units of the jitter, with no delay below 0."""
        return self.distribution.moments(-self.delay_us / self.jitter_us if self.jitter_us else -math.inf)

    @property
    def mean_delay_us(self) -> float:
        """The mean of the delay."""
        return self.delay_us + (self.delay_moments.mean * self.jitter_us if self.jitter_us else 0.0)

    @property
    def longest_delay_us(self) -> float:
        """The longest delay."""
        return self.delay_us + (self.distribution.most * self.jitter_us if self.jitter_us else 0.0)

    def with_loss(self, loss: float) -> Link:
        """The link with independent losses of this probability."""
        return replace(self, loss=loss, bursts=None)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Link:
        """Return the link that JSON data describe.

        Raises:
            FormError: the data are not of this form.
        """
        return load(cls, data, "link")

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        data: dict[str, Any] = dump(self)
        return data


@dataclass(frozen=True)
class Links:
    """Both directions of a device's link: ``up`` for what it sends, ``down`` for what it receives."""

    up: Link
    down: Link
