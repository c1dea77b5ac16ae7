"""Who was asked in a round, or to evaluate, who has answered, and whether that is enough."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from fedsim_runner.contract.records import LaunchSettings

from ..round_end import Reason, RoundEnd


class RoundAnswers:
    """What one server has asked of its clients, and the answers that it has.

    Args:
        server: FederatedScope's.
        settings: say when a round ends.
        unavailable: returns the clients that are lost or offline, whose answers nobody waits for.
    """

    def __init__(self, server: Any, settings: LaunchSettings, unavailable: Callable[[], set[int]]) -> None:
        self._server = server
        self._settings = settings
        self._unavailable = unavailable
        self._asynchronous = bool(server._cfg.asyn.use)
        self._members: dict[int, set[int]] = {}  # clients to which the model was sent, by round
        self._ends: dict[int, RoundEnd] = {}  # by round
        self._evaluators: set[int] = set()  # clients that were asked for the latest evaluation
        self._evaluation_end = RoundEnd(settings, time.monotonic(), has_quorum=False)
        self._merged: set[int] = set()  # evaluations that are done

    def note_model(self, number: int, clients: set[int]) -> None:
        """The model of this round is about to be sent to these clients."""
        self._members.setdefault(number, set()).update(clients)
        if clients:
            self._ends.setdefault(number, RoundEnd(self._settings, time.monotonic()))

    def note_evaluation(self, clients: set[int]) -> None:
        """These clients are about to be asked to evaluate."""
        self._evaluators = clients
        self._evaluation_end = RoundEnd(self._settings, time.monotonic(), has_quorum=False)

    def note_merge(self) -> None:
        """The results of the latest evaluation are about to be merged."""
        self._merged.add(max(self._server.msg_buffer["eval"]))

    def forget(self, client: int) -> None:
        """Nothing that this client was asked for will come."""
        for members in (*self._members.values(), self._evaluators):
            members.discard(client)

    @property
    def answered(self) -> set[int]:
        """Clients whose updates of this round are here."""
        return set(self._server.msg_buffer["train"].get(self._server.state, {}))

    @property
    def awaited(self) -> set[int]:
        """Clients that have answered this round or still can."""
        return (self._members.get(self._server.state, set()) - self._unavailable()) | self.answered

    @property
    def evaluators(self) -> set[int]:
        """Clients that were asked for the latest evaluation and still can answer."""
        return self._evaluators - self._unavailable()

    def evaluations(self) -> tuple[int, int]:
        """How many results the latest evaluation needs and has. One that is done needs none."""
        server = self._server
        rounds = server.msg_buffer["eval"]
        if not rounds or max(rounds) in self._merged:
            return 0, 0
        answered = set(rounds[max(rounds)])
        usual = server._cfg.asyn.min_received_num if self._asynchronous else server._cfg.federate.sample_client_num
        return min(int(usual), len(self.evaluators | answered)), len(answered)

    def is_evaluation_overdue(self) -> bool:
        """Whether the latest evaluation ends without the results that are still missing."""
        needed, answered = self.evaluations()
        return 0 < answered < needed and self._evaluation_end.reason(answered, needed, time.monotonic()) is not None

    def why_over(self) -> Reason | None:
        """Why the round ends without those that are still waited for; None: it does not, or there are none."""
        server = self._server
        end, answered = self._ends.get(server.state), len(self.answered)
        if end is None or server.state >= server.total_round_num or answered >= len(self.awaited):
            return None
        return end.reason(answered, len(self._members[server.state]), time.monotonic())

    def ends_at(self) -> float:
        """When the round ends if nothing more arrives, on the monotonic clock."""
        number = self._server.state
        end, asked = self._ends.get(number), len(self._members.get(number, ()))
        return math.inf if end is None else end.at(len(self.answered), asked, time.monotonic())
