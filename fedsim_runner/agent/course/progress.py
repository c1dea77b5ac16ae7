"""How far a course has got, and since when it is silent."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Progress:
    """How far the course has got, in rounds from 0; -1 before the first one.

    Attributes:
        total_rounds: ``federate.total_round_num``.
        round: the round being trained.
        evaluating: rounds aggregated, while only their evaluation is outstanding.
        training_finished: the server has begun its last evaluation.
        server_done: the server has reported that it finished.
        rounds_done: rounds aggregated and evaluated so far.
        results: the server's last aggregated evaluation.
    """

    total_rounds: int
    round: int = -1
    evaluating: int | None = None
    training_finished: bool = False
    server_done: bool = False
    rounds_done: int = 0
    results: dict[str, float] = field(default_factory=dict)

    @property
    def reached(self) -> int:
        """Rounds that have begun. After an early stop, FederatedScope's own numbers exceed all of them."""
        return min(self.round + 1, self.total_rounds)


@dataclass
class Clocks:
    """The course's two clocks, on the scale of the caller's ``now``.

    Attributes:
        opened: when the gate opened, or is to open; None: it is not known yet.
        silent_since: when something was last heard of a participant.
    """

    opened: float | None = None
    silent_since: float = 0.0
