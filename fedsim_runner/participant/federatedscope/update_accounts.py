"""What becomes of every update that reaches a FederatedScope server: which aggregation takes it, or that none does.

FederatedScope does not say. An update that has arrived lies in a buffer until an aggregation takes all of it; it may be
dropped as too stale, be replaced by a later one of the same client for the same round, be cleared away when a time
budget restarts the round, or come after the last aggregation.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from fedsim_runner.contract.participant_events import Update

from .patch_context import PatchContext
from .upstream import Place

SERVER = "federatedscope.core.workers.server"
PLACES = (
    Place(SERVER, "Server._perform_federated_aggregation", ("self",), ("msg_buffer", "staled_msg_buffer", "state")),
    Place(SERVER, "Server.callback_funcs_model_para", ("self", "message"), ("msg_buffer", "staled_msg_buffer")),
)

Key = tuple[int, int]  # a client's id, and the round of the model that it has trained, from 0


@dataclass(frozen=True)
class Arrival:
    """An update that has arrived; ``aggregated``: how many rounds had been aggregated then."""

    client: int
    round: int
    aggregated: int


class UpdateAccounts:
    """The accounts of one server. Replaces its handler of updates and its aggregation."""

    def __init__(self, server: Any, shared: PatchContext) -> None:
        """Attach to ``server``, which has not started to run; before the policies, which keep late updates from it."""
        self._server = server
        self._shared = shared
        self._pending: list[Arrival] = []
        self._take = server.msg_handlers["model_para"]
        self._aggregate = server._perform_federated_aggregation
        server.register_handlers("model_para", self._take_update, ["model_para", "evaluate", "finish"])
        server._perform_federated_aggregation = self._aggregate_updates

    def close(self) -> None:
        """The course is over: what still lies in the buffers is not used any more."""
        self._settle_surplus(Counter())

    def _take_update(self, message: Any) -> Any:
        self._pending.append(Arrival(int(message.sender), int(message.state), self._aggregated()))
        answer = self._take(message)  # it may aggregate, and start the next round
        self._settle_surplus(self._held())
        return answer

    def _aggregate_updates(self) -> Any:
        taken, number = self._held(), int(self._server.state)
        answer = self._aggregate()
        # Of several updates of one client for one round, the last one is in the buffer.
        used = self._last_of_each(taken)
        for arrival, is_used in zip(self._pending, used, strict=True):
            self._report(arrival, number - arrival.round if is_used else None)
        self._pending.clear()
        return answer

    def _settle_surplus(self, held: Counter[Key]) -> None:
        """Report those that are in no buffer (any more) as unused."""
        kept = self._last_of_each(held)
        for arrival, is_kept in zip(self._pending, kept, strict=True):
            if not is_kept:
                self._report(arrival, None)
        self._pending = [arrival for arrival, is_kept in zip(self._pending, kept, strict=True) if is_kept]

    def _last_of_each(self, held: Counter[Key]) -> list[bool]:
        """For each pending update, whether it is one of those that ``held`` counts: the last ones of each key."""
        left, found = held.copy(), []
        for arrival in reversed(self._pending):
            key = (arrival.client, arrival.round)
            found.append(left[key] > 0)
            left[key] -= 1
        return found[::-1]

    def _held(self) -> Counter[Key]:
        """What the next aggregation would take. After the last one, the buffers still hold what it has taken."""
        server = self._server
        if server.state >= server.total_round_num:
            return Counter()
        fresh = ((int(client), int(server.state)) for client in server.msg_buffer["train"].get(server.state, ()))
        stale = ((int(client), int(number)) for number, client, _ in server.staled_msg_buffer)
        return Counter([*fresh, *stale])

    def _aggregated(self) -> int:
        return min(int(self._server.state), int(self._server.total_round_num))

    def _report(self, arrival: Arrival, staleness: int | None) -> None:
        """``staleness``: of an update that was used; None: it is not used."""
        used = staleness is not None
        stale = max(0, arrival.aggregated - arrival.round if staleness is None else staleness)
        self._shared.activity.note(
            "used" if used else "unused", peer=arrival.client, round=arrival.round, staleness=stale
        )
        self._shared.reporter.report(Update(arrival.client, arrival.round, stale, used))
