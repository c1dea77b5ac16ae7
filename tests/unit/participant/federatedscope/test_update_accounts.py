"""What becomes of each update, with a server that buffers and aggregates as FederatedScope's does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fedsim_runner.contract.participant_events import Update
from fedsim_runner.participant.federatedscope.update_accounts import UpdateAccounts


class Server:
    """FederatedScope's buffers: an update of the present round, a stale one, one that is too stale."""

    def __init__(self, needed: int, toleration: int = 0, rounds: int = 3) -> None:
        self.state, self.total_round_num, self.needed, self.toleration = 0, rounds, needed, toleration
        self.msg_buffer: dict[str, dict[int, dict[int, str]]] = {"train": {}}
        self.staled_msg_buffer: list[tuple[int, int, str]] = []
        self.msg_handlers = {"model_para": self.take}

    def register_handlers(self, kind: str, handler: Any, sends: list[str]) -> None:
        self.msg_handlers[kind] = handler

    def _perform_federated_aggregation(self) -> int:
        return len(self.msg_buffer["train"].get(self.state, {})) + len(self.staled_msg_buffer)

    def take(self, message: Any) -> bool:
        if self.state >= self.total_round_num:
            return False
        if message.state == self.state:
            self.msg_buffer["train"].setdefault(message.state, {})[message.sender] = "content"
        elif message.state >= self.state - self.toleration:
            self.staled_msg_buffer.append((message.state, message.sender, "content"))
        if len(self.msg_buffer["train"].get(self.state, {})) + len(self.staled_msg_buffer) < self.needed:
            return False
        self._perform_federated_aggregation()
        self.state += 1
        if self.state < self.total_round_num:  # as FederatedScope: the buffers of the last round stay
            self.msg_buffer["train"].pop(self.state - 1, None)
            self.staled_msg_buffer.clear()
        return True


class Accounts:
    """The accounts of such a server, and what they report: client, round of the model, staleness, whether used."""

    def __init__(self, **server: int) -> None:
        self.server = Server(**server)
        self.events: list[Update] = []
        self.notes: list[tuple[Any, ...]] = []
        reporter = SimpleNamespace(report=self.events.append)
        activity = SimpleNamespace(note=self._note)
        self.accounts = UpdateAccounts(self.server, SimpleNamespace(activity=activity, reporter=reporter))  # type: ignore[arg-type]

    def _note(self, what: str, **fields: int) -> None:
        self.notes.append((what, fields["peer"], fields["round"], fields["staleness"]))

    def arrive(self, *updates: tuple[int, int]) -> list[tuple[Any, ...]]:
        """Have updates arrive (client, round), and return what has been noted since the last call."""
        for client, number in updates:
            self.server.msg_handlers["model_para"](SimpleNamespace(sender=client, state=number))
        return self.noted()

    def noted(self) -> list[tuple[Any, ...]]:
        noted, self.notes = self.notes, []
        return noted


def test_an_update_is_used_by_the_aggregation_that_takes_it() -> None:
    course = Accounts(needed=2)
    assert course.arrive((1, 0)) == []
    assert course.arrive((2, 0)) == [("used", 1, 0, 0), ("used", 2, 0, 0)]
    assert course.events == [Update(1, 0, 0, True), Update(2, 0, 0, True)]


def test_a_stale_update_is_used_with_its_staleness_or_dropped() -> None:
    course = Accounts(needed=2, toleration=1)
    course.arrive((1, 0), (2, 0))
    assert course.arrive((3, 0), (1, 1)) == [("used", 3, 0, 1), ("used", 1, 1, 0)]
    assert course.arrive((2, 0)) == [("unused", 2, 0, 2)]


def test_what_comes_after_the_last_aggregation_is_unused() -> None:
    course = Accounts(needed=1, toleration=5, rounds=1)
    assert course.arrive((1, 0)) == [("used", 1, 0, 0)]
    assert course.arrive((2, 0)) == [("unused", 2, 0, 1)]
    course.accounts.close()
    assert course.noted() == []


def test_an_update_that_another_one_of_its_client_replaces_is_unused() -> None:
    course = Accounts(needed=2)
    assert course.arrive((1, 0), (1, 0)) == [("unused", 1, 0, 0)]
    assert course.arrive((2, 0)) == [("used", 1, 0, 0), ("used", 2, 0, 0)]


def test_what_a_restarted_round_clears_away_is_unused() -> None:
    course = Accounts(needed=2)
    course.arrive((1, 0))
    course.server.msg_buffer["train"][0].clear()
    assert course.arrive((2, 0), (1, 0)) == [("unused", 1, 0, 0), ("used", 2, 0, 0), ("used", 1, 0, 0)]


def test_what_lies_in_a_buffer_at_the_end_is_unused() -> None:
    course = Accounts(needed=2)
    course.arrive((1, 0))
    course.accounts.close()
    assert course.noted() == [("unused", 1, 0, 0)]


@pytest.mark.parametrize("toleration", [0, 1, 3])
def test_each_update_has_one_fate_and_each_aggregation_its_number(toleration: int) -> None:
    course = Accounts(needed=2, toleration=toleration, rounds=4)
    # Client 3 is slow: its updates are of models that are two rounds old.
    arrivals = [(1, 0), (2, 0), (1, 1), (2, 1), (3, 0), (1, 2), (2, 2), (1, 3), (3, 1), (2, 3), (3, 3)]
    noted = course.arrive(*arrivals)
    course.accounts.close()
    noted += course.noted()
    assert sorted((client, number) for _, client, number, _ in noted) == sorted(arrivals)
    used = [number + staleness for what, _, number, staleness in noted if what == "used"]
    assert [used.count(number) for number in range(4)] == [2, 2, 2, 2]
    assert all(staleness <= toleration for what, _, _, staleness in noted if what == "used")
