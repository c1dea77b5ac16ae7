"""How a server handles lost clients and stragglers, around FederatedScope's own rounds.

``on_client_failure: continue``: a client that the agent gives up (or that accepts no message) is no longer sampled, no
longer waited for and gets no more messages. ``round_deadline`` and ``round_quorum``: a round is aggregated with what
has arrived when its time is over, or once that is enough; a straggler is sent nothing new until its late answer has
come, which is dropped.

A client that is offline is not sampled, and not waited for. When it is back, it takes part again, and the answer that
it may owe still counts, if its round is not over.

Everything happens in the server's own thread: FederatedScope's loop gets a message of a special type whenever there is
something to do.
"""

from __future__ import annotations

import importlib
import logging
import time
from pathlib import Path
from typing import Any

from fedsim_runner.contract.participant_events import ClientLost, DeadlinePassed, QuorumReached, Update
from fedsim_runner.contract.records import LaunchSettings

from ..absences import Absences
from ..exit_errors import ParticipantError
from ..lost import LostClients
from .joining_again import JoinsAgain
from .losses import Losses
from .offline import OfflineClients
from .own_workers import PRIVATE
from .patch_context import PatchContext
from .patches.async_updates import IDLE, top_up
from .possible_policies import SERVER, refuse_other_courses
from .round_answers import RoundAnswers

WAKE_UP = f"{PRIVATE}wake_up"  # type of the message that wakes the server's loop
POLL_S = 0.25

logger = logging.getLogger(SERVER)


class Policies:
    """The policies of one server. Replaces some of its methods; needs no thread."""

    def __init__(self, server: Any, gate: Path, settings: LaunchSettings, shared: PatchContext) -> None:
        """Attach to ``server``, which has not started to run.

        Raises:
            UnsupportedError: the policies are not possible in this kind of course.
        """
        refuse_other_courses(server, settings)
        self._server = server
        self._communication = server.comm_manager
        self._settings = settings
        self._shared = shared
        self._asynchronous = bool(server._cfg.asyn.use)
        announced = LostClients(gate) if settings.on_client_failure == "continue" else None
        self._losses = Losses(self._communication, int(server.client_num), announced)
        self._pending: list[tuple[str, int | None, str]] = []
        self._offline = (
            OfflineClients(server.sampler, Absences(gate, settings.device)) if settings.goes_offline else None
        )
        self._answers = RoundAnswers(server, settings, lambda: self._losses.gone | self._away)
        self._started = False
        self._check = server.check_and_move_on
        self._merge = server._merge_and_format_eval_results
        self._receive = self._communication.receive
        self._send = self._communication.send
        self._take = server.msg_handlers["model_para"]
        self._change_state = server.sampler.change_state
        self._sample = server.sampler.sample
        server.check_and_move_on = self._check_and_move_on
        server._merge_and_format_eval_results = self._merge_once
        server.sampler.change_state = self._keep_state
        server.sampler.sample = self._sample_idle
        self._communication.receive = self._receive_or_wake_up
        self._communication.send = self._send_to_present
        server.register_handlers("model_para", self._take_update, ["model_para", "evaluate", "finish"])
        server.register_handlers(WAKE_UP, self._handle_wake_up, ["model_para", "evaluate", "finish"])
        if self._offline is not None:
            JoinsAgain(server, shared, self._forgive)

    # --- events from outside

    def unreachable(self, peer: int, kind: str, reason: str) -> None:
        """A client accepts no messages: it counts as lost. Any thread may call this."""
        self._losses.unreachable(peer, reason)

    def drop_lost_clients(self) -> None:
        """Stop waiting for clients that are lost, or offline, while the last messages are sent."""
        for device, client, reason in self._losses.new(self._started):
            self._drop(device, client, reason)
        self._take_absences()
        for client in self._away:  # the course is over, whenever they are back
            for forget in self._shared.forget:
                forget(self._communication.neighbors[client])

    # --- replacements of the server's methods

    def _receive_or_wake_up(self) -> Any:
        """Return the next message, or a wake-up if there is something to do."""
        inbox = self._communication.server_funcs
        wait = getattr(inbox, "wait_for_message", None)  # of the patch busy_wait
        while True:
            self._pending = self._losses.new(self._started)
            if (
                self._pending
                or self._changed_absences()
                or self._answers.why_over()
                or self._answers.is_evaluation_overdue()
            ):
                return importlib.import_module("federatedscope.core.message").Message(msg_type=WAKE_UP)
            if inbox.msg_queue:
                message = self._receive()
                if message.msg_type == "join_in":
                    if self._losses.has_lost(message.content):
                        logger.info("Server: The join of a client that is lost is dropped")
                        continue
                elif message.sender in self._losses.gone:
                    logger.info(f"Server: A message of client #{message.sender}, which is lost, is dropped")
                    continue
                return message
            if wait is not None:
                wait(min(POLL_S, max(0.0, self._answers.ends_at() - time.monotonic())))

    def _send_to_present(self, message: Any) -> None:
        """Note which clients are asked for what, and until when; a busy straggler is not asked to evaluate."""
        receivers = message.receiver if isinstance(message.receiver, list) else [message.receiver]
        if message.msg_type == "evaluate" and not self._asynchronous:
            states = self._server.sampler.client_state
            # If all are busy, the idle ones were lost: ask the others.
            receivers = [client for client in receivers if states[client] == IDLE] or receivers
            message.receiver = receivers
        present = {client for client in receivers if client in self._communication.neighbors}
        if message.msg_type == "evaluate":
            self._answers.note_evaluation(present)
        elif message.msg_type == "model_para":
            self._started = True
            self._answers.note_model(message.state, present)
        self._send(message)

    def _keep_state(self, indices: Any, state: str) -> None:
        """Keep clients that are lost or offline out of every sample."""
        self._change_state(indices, state)
        if self._offline is not None:
            self._offline.keep([indices] if isinstance(indices, int) else indices)
        for client in self._losses.gone:
            self._server.sampler.client_state[client] = 0

    def _sample_idle(self, size: int) -> Any:
        self._started = True
        self._take_absences()
        return self._sample(size=min(size, int((self._server.sampler.client_state == IDLE).sum())))

    def _merge_once(self) -> None:
        self._answers.note_merge()
        self._merge()

    def _take_update(self, message: Any) -> Any:
        server = self._server
        late = not self._asynchronous and not server.is_finish and message.state < server.state
        if not late:
            moved_on = self._take(message)
            if self._asynchronous and self._away and not moved_on and not server.is_finish:
                self._resend_model_if_nobody_answers()
            return moved_on
        server.sampler.change_state(message.sender, "idle")
        logger.info(
            f"Server: The update of client #{message.sender} for round {message.state} came after its end and "
            "is dropped"
        )
        number = int(message.state)
        staleness = int(server.state) - number
        self._shared.activity.note("late", peer=int(message.sender), round=number, staleness=staleness)
        self._shared.reporter.report(Update(int(message.sender), number, staleness, used=False))
        self._resend_model_if_nobody_answers()
        return False

    def _check_and_move_on(self, check_eval_result: bool = False, min_received_num: int | None = None) -> bool:
        if min_received_num is not None:
            return bool(self._check(check_eval_result, min_received_num))
        needed = self._needed_evaluations() if check_eval_result else self._needed_updates()
        return needed > 0 and bool(self._check(check_eval_result, needed))

    # --- who is offline

    @property
    def _away(self) -> set[int]:
        """Clients that are offline, and not lost."""
        return set() if self._offline is None else self._offline.ids - self._losses.gone

    def _changed_absences(self) -> dict[int, bool]:
        """Clients that have gone offline or are back; before the first round they have yet to join."""
        if self._offline is None or not self._started:
            return {}
        return self._offline.changed(self._communication.neighbors)

    def _take_absences(self) -> None:
        changed = self._changed_absences()
        for client, offline in changed.items():
            where = "offline" if offline else "online again"
            logger.info(f"Server: Client #{client} ({self._losses.device_of(client)}) is {where}")
        if self._offline is not None:
            self._offline.take(changed)

    # --- how many answers are enough

    def _needed_updates(self) -> int:
        server = self._server
        if server.state >= server.total_round_num:
            return 0
        if self._asynchronous:
            return min(int(server._cfg.asyn.min_received_num), max(1, self._losses.alive))
        answered, awaited = len(self._answers.answered), len(self._answers.awaited)
        reason = self._answers.why_over()
        if reason is None:
            return awaited
        number, report = int(server.state), self._shared.reporter.report
        if reason == "quorum":
            logger.info(f"Server: Round #{number} is aggregated with its quorum: {answered} of {awaited} updates")
            report(QuorumReached(number, answered, awaited))
        else:
            self._log_overdue(number, "aggregated", f"{answered} of {awaited} updates")
            report(DeadlinePassed(number, answered, awaited))
        return answered

    def _needed_evaluations(self) -> int:
        needed, answered = self._answers.evaluations()
        if not self._answers.is_evaluation_overdue():
            return needed
        number = max(self._server.msg_buffer["eval"])
        self._log_overdue(number, "evaluated", f"{answered} of {needed} results")
        return answered

    def _log_overdue(self, number: int, what: str, share: str) -> None:
        deadline_s = self._settings.round_deadline_s
        logger.info(f"Server: Round #{number} is {what} after its deadline of {deadline_s:g} s with {share}")

    # --- actions

    def _handle_wake_up(self, message: Any) -> bool:
        """Note who is lost or offline, and continue the round if that, or its end, allows it; called by the server.

        Raises:
            ParticipantError: too few clients are left.
        """
        for device, client, reason in self._pending:
            self._drop(device, client, reason)
            if not self._started:
                self._start_without(client)
        self._take_absences()
        server = self._server
        if not self._started:
            return False
        # The evaluation first: it belongs to the previous round, and may end the course early.
        moved_on = server.check_and_move_on(check_eval_result=True)
        if server.state < server.total_round_num:
            moved_on = server.check_and_move_on() or moved_on
            self._resend_model_if_nobody_answers()
        elif not moved_on and server.state == server.total_round_num:
            self._repeat_evaluation_if_nobody_answers()
        return bool(moved_on)

    def _forgive(self, client: int) -> bool:
        """Wait no longer for what a client was asked for, which was started anew."""
        self._answers.forget(client)
        self._server.sampler.change_state(client, "idle")
        return self._started and self._handle_wake_up(None)

    def _drop(self, device: str, client: int | None, reason: str) -> None:
        address = self._losses.add(device, client, reason)
        if client is not None and address is not None:
            self._server.sampler.client_state[client] = 0
            for forget in self._shared.forget:
                forget(address)
            self._shared.activity.note("lost", peer=client)
        who = f"Client #{client} ({device})" if client is not None else f"A client ({device})"
        logger.warning(
            f"Server: {who} is lost: {self._losses.reasons[device]}; going on with {self._losses.alive} clients"
        )
        if client is not None:
            self._shared.reporter.report(ClientLost(client, self._losses.reasons[device]))
        if self._losses.alive < max(1, self._settings.min_clients) and not self._server.is_finish:
            lost = "; ".join(f"{name}: {why}" for name, why in self._losses.reasons.items())
            raise ParticipantError(
                f"{self._losses.alive} of {self._losses.clients} clients are left, course.min_clients is "
                f"{self._settings.min_clients}; lost: {lost}"
            )

    def _start_without(self, client: int | None) -> None:
        """A client was lost before the first round: start once the others have joined."""
        server = self._server
        with_info = len(server._cfg.federate.join_in_info) > 0
        if client is None:  # the highest id will not be assigned
            self._losses.gone.add(int(server.client_num))
            server.sampler.client_state[server.client_num] = 0
        if client is None or with_info:
            server.join_in_info.pop(client, None)
            server.client_num -= 1
        server.trigger_for_start()

    def _resend_model_if_nobody_answers(self) -> None:
        """Send the model to other clients if all that have it are lost or offline and none has answered."""
        server = self._server
        if server.state >= server.total_round_num:
            return
        if self._asynchronous:
            top_up(server, self._needed_updates(), self._away)
        elif not self._answers.awaited and not self._has_nobody():
            server.broadcast_model_para(msg_type="model_para", sample_client_num=server.sample_client_num)

    def _has_nobody(self) -> bool:
        """Whether clients are offline and the others busy, so that nobody can be asked before one is back."""
        return bool(self._away) and not (self._server.sampler.client_state == IDLE).any()

    def _repeat_evaluation_if_nobody_answers(self) -> None:
        """Ask the other clients if all that were asked for the final evaluation are gone and none has answered."""
        server = self._server
        if (
            server._cfg.federate.make_global_eval
            or self._answers.evaluators
            or self._answers.evaluations()[1]
            or self._has_nobody()
        ):
            return
        server.broadcast_model_para(msg_type="evaluate", filter_unseen_clients=False)
