"""Asking clients for updates and results: whom, how long for, and what becomes of answers that come later."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from fedsim_runner.contract.participant_events import DeadlinePassed, QuorumReached, Update
from fedsim_runner.contract.records import LaunchSettings

from ..activity import Activity
from ..round_end import Reason, RoundEnd
from ..senders import read_address
from .answers import InvalidAnswerError
from .roster import Roster
from .run_log import RunLog, logger
from .transport import Transport
from .wire import Message

WORDS = {"model_para": ("update", "is"), "metrics": ("results", "are")}

_Answer = TypeVar("_Answer")


class Asking:
    """Asks the clients of one course, one request after the other.

    With a round deadline or a quorum a straggler is not waited for, nor is ever a client that is offline. It is idle
    again, and may be asked again, once its late answer has arrived and was dropped.

    Args:
        on_failure: called with a client whose answer nobody can use, and the reason.
    """

    def __init__(
        self,
        transport: Transport,
        roster: Roster,
        log: RunLog,
        activity: Activity,
        policy: LaunchSettings,
        seed: int,
        on_failure: Callable[[int, str], None],
    ) -> None:
        self._transport = transport
        self._roster = roster
        self._log = log
        self._activity = activity
        self._policy = policy
        self._sampler = np.random.default_rng(seed)
        self._on_failure = on_failure
        self._round_number = 0

    def answers(self, request: Message, kind: str, size: int, read: Callable[[Any], _Answer]) -> dict[int, _Answer]:
        """Ask up to ``size`` idle clients; the answer of each that gives a valid one in time, at least one, by client.

        Args:
            request: what is asked; who is asked is decided here.
            kind: the kind of message that answers it.
            read: returns an answer from a message's content, or raises an InvalidAnswerError.
        """
        self._round_number = request.state
        roster, transport = self._roster, self._transport
        asked: list[int] = []
        answers: dict[int, _Answer] = {}
        end: RoundEnd | None = None

        def missing() -> list[int]:
            return [client for client in asked if client not in answers and roster.is_online(client)]

        def fresh() -> list[int]:
            return [client for client in roster.idle if client not in asked]

        def has_changed(waited: list[int]) -> bool:
            return missing() != waited or (not waited and bool(fresh()))

        while not answers or missing():
            waited = missing()
            if not waited and (chosen := self._choose(fresh(), size)):
                # At the beginning, or all that were asked before are offline or lost.
                for client in chosen:
                    roster.ask(client, kind, request.state)
                transport.post(replace(request, receiver=chosen))
                asked += chosen
                end = end or RoundEnd(self._policy, time.monotonic(), has_quorum=kind == "model_para")
                continue
            ends_at = math.inf if end is None else end.at(len(answers), len(asked), time.monotonic())
            message = transport.wait_until(
                waited or roster.online,
                lambda: self._describe_wait(kind, missing()),
                # An answer of a client that is lost by now counts: it has arrived.
                enough=partial(has_changed, waited),
                until=ends_at,
            )
            if message is not None:
                client = message.sender
                if client in asked and client not in answers and roster.settle(client, kind, message.state):
                    self._take(message, answers, read)
                else:
                    self.handle_other(message, replace(request, receiver=asked))
            reason = None if end is None else end.reason(len(answers), len(asked), time.monotonic())
            if reason is not None and (late := missing()):
                self._report_end(reason, kind, request.state, len(answers), len(answers) + len(late))
                break
        return answers

    def _choose(self, idle: list[int], size: int) -> list[int]:
        return idle if size >= len(idle) else sorted(self._sampler.choice(idle, size, replace=False).tolist())

    def _describe_wait(self, kind: str, missing: list[int]) -> str:
        roster, names = self._roster, self._transport.names
        if missing:
            return f"Server: waiting for {kind} of {names(missing)}"
        if roster.online:
            return f"Server: waiting for late answers of {names(roster.online)}"
        return f"Server: waiting for clients: all of them are offline: {names(roster.present)}"

    def _take(self, message: Message, answers: dict[int, _Answer], read: Callable[[Any], _Answer]) -> None:
        client = message.sender
        try:
            answers[client] = read(message.content)
        except InvalidAnswerError as error:
            what, verb = WORDS[message.msg_type]
            self._on_failure(client, f"the {what} of {self._roster.name(client)} {verb} not valid: {error}")
        else:
            if message.msg_type == "model_para":
                self._log.report(Update(client, message.state, staleness=0, used=True))

    def _report_end(self, reason: Reason, kind: str, state: int, arrived: int, total: int) -> None:
        if reason == "quorum":
            logger.info(f"Server: Round #{state} is aggregated with its quorum: {arrived} of {total} updates")
            self._log.report(QuorumReached(state, arrived, total))
            return
        what = "aggregated" if kind == "model_para" else "evaluated"
        number = f"{arrived} of {total} {WORDS[kind][0]}{'s' if kind == 'model_para' else ''}"
        deadline_s = self._policy.round_deadline_s
        logger.info(f"Server: Round #{state} is {what} after its deadline of {deadline_s:g} s with {number}")
        if kind == "model_para":
            self._log.report(DeadlinePassed(state, arrived, total))

    def handle_other(self, message: Message, request: Message | None) -> None:
        """Handle a message that is not the one waited for, which is an answer to ``request``."""
        client, kind = message.sender, message.msg_type
        if kind == "join_in":
            self._join_again(*read_address(message.content), request)
        elif self._roster.settle(client, kind, message.state):
            what, verb = WORDS[kind]
            staleness = max(0, self._round_number - message.state)
            self._activity.note("late", peer=client, round=message.state, staleness=staleness)
            logger.info(
                f"Server: The {what} of client #{client} for round {message.state} came after its end and {verb} "
                "dropped"
            )
            if kind == "model_para":
                self._log.report(Update(client, message.state, staleness, used=False))
        else:
            logger.info(f"Drop a out-of-date message from round #{message.state}")

    def _join_again(self, host: str, port: int, request: Message | None) -> None:
        """A client was restarted in the middle of the course, or did not get our answer to its join."""
        client = self._roster.admit(host, port)
        if client is None:
            logger.warning(f"a participant at {host}:{port} wants to join a running course: refused")
            return
        logger.warning(f"client #{client} ({host}:{port}) joins again")
        self._transport.post(Message("assign_client_id", 0, [client], 0, str(client)))
        if request is not None and client in request.receiver and client not in self._roster.idle:
            self._transport.post(replace(request, receiver=[client]))
        else:
            self._roster.forgive(client)
