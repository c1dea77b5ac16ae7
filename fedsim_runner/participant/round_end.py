"""When a round ends although not all of its clients have answered: at its deadline, or with its quorum.

As in Bonawitz et al., Towards Federated Learning at Scale: System Design (2019), section 2.2: a round in which enough
devices report in time is complete, and stragglers are ignored. Unlike there, one with fewer is not abandoned: it waits
for the first update beyond its deadline.
"""

from __future__ import annotations

import math
from typing import Literal

from ..contract.records import LaunchSettings
from ..contract.round_quorum import quorum_size

Reason = Literal["deadline", "quorum"]


class RoundEnd:
    """The end of one round. Times are seconds on the monotonic clock.

    Args:
        settings: ``round_deadline_s``, ``round_quorum`` and ``round_grace`` count.
        began: when the first clients were asked.
        has_quorum: a quorum is one of updates: an evaluation has a deadline only.
    """

    def __init__(self, settings: LaunchSettings, began: float, has_quorum: bool = True) -> None:
        deadline_s = settings.round_deadline_s
        self._began = began
        self._deadline_at = math.inf if deadline_s is None else began + deadline_s
        self._quorum = settings.round_quorum if has_quorum else None
        self._grace = settings.round_grace
        self._quorum_ends_at = math.inf

    def at(self, arrived: int, asked: int, now: float) -> float:
        """When the round ends if no more answers arrive; infinite: not before all others have answered.

        Call it after each arrival: the time that the quorum took counts from the first call that finds it complete.
        """
        if arrived == 0:
            return math.inf
        if self._quorum is not None and arrived >= quorum_size(self._quorum, asked):
            self._quorum_ends_at = min(self._quorum_ends_at, now + self._grace * (now - self._began))
        return min(self._deadline_at, self._quorum_ends_at)

    def reason(self, arrived: int, asked: int, now: float) -> Reason | None:
        """Why the round is over now; None: it is not."""
        if now < self.at(arrived, asked, now):
            return None
        return "quorum" if self._quorum_ends_at <= self._deadline_at else "deadline"
