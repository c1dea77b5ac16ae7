"""Losses in bursts: the model of Gilbert and Elliott. Pure.

A link is in a good or a bad state, each of which loses packets with a probability of its own, and after each packet it
may change. E. N. Gilbert, Capacity of a Burst-Noise Channel, 1960 (the good state loses none); E. O. Elliott, Estimates
of Error Rates for Codes on Burst-Noise Channels, 1963. With iproute2's names: ``loss gemodel p r 1-h 1-k``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GilbertElliott:
    """The model's parameters, all of them probabilities.

    Attributes:
        p: that a good link is bad for the next packet.
        r: that a bad link is good for the next packet; above 0.
        bad_loss: that a bad link loses a packet (1-h).
        good_loss: that a good link loses a packet (1-k).
    """

    p: float
    r: float
    bad_loss: float = 1.0
    good_loss: float = 0.0

    @property
    def bad_share(self) -> float:
        """The share of packets that meet the bad state: p / (p + r), as of any chain with two states."""
        return self.p / (self.p + self.r)

    @property
    def mean_loss(self) -> float:
        """The share of packets that are lost."""
        return self.bad_share * self.bad_loss + (1 - self.bad_share) * self.good_loss

    @property
    def mean_burst(self) -> float:
        """How many packets in a row are lost on average: those lost, for each that is lost after one that is not.

        If the bad state loses all packets and the good one none, these are 1 / r.
        """
        after_good = (1 - self.p) * self.good_loss + self.p * self.bad_loss
        after_bad = self.r * self.good_loss + (1 - self.r) * self.bad_loss
        begin = (1 - self.bad_share) * (1 - self.good_loss) * after_good
        begin += self.bad_share * (1 - self.bad_loss) * after_bad
        return self.mean_loss / begin if begin else 0.0

    @property
    def variance_factor(self) -> float:
        """By how much the variance of a number of losses exceeds that of as many independent ones.

        The states of packets that are k apart are correlated with (1 - p - r)^k, so for many packets this is
        1 + 2 (sum of all these) times the part of a loss's variance that the states have.
        """
        mean, share, rest = self.mean_loss, self.bad_share, 1 - self.p - self.r
        own = mean * (1 - mean)
        states = share * (1 - share) * (self.bad_loss - self.good_loss) ** 2
        return 1 + 2 * states * rest / (1 - rest) / own if own else 1.0
