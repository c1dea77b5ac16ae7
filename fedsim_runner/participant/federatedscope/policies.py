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
import math
import queue
import time
from pathlib import Path
from typing import Any

from fedsim_runner.contract.participant_events import ClientLost, DeadlinePassed, QuorumReached, Update
from fedsim_runner.contract.records import LaunchSettings

from ..absences import Absences
from ..exit_errors import ParticipantError, UnsupportedError
from ..lost import LostClients
from ..round_end import Reason, RoundEnd
from .joining_again import JoinsAgain
from .offline import OfflineClients
from .own_workers import PRIVATE
from .patch_context import PatchContext
from .patches.async_updates import IDLE, top_up
from .upstream import Place

SERVER = "federatedscope.core.workers.server"
PLACES = (
    Place(
        SERVER,
        "Server.check_and_move_on",
        ("self", "check_eval_result", "min_received_num"),
        ("check_buffer", "state", "total_round_num", "_start_new_training_round", "_merge_and_format_eval_results"),
    ),
    Place(SERVER, "Server.check_buffer", ("self", "cur_round", "min_received_num"), ("msg_buffer", "eval", "train")),
    Place(SERVER, "Server.callback_funcs_model_para", ("self", "message"), ("sampler", "change_state", "is_finish")),
    Place(SERVER, "Server.broadcast_model_para", ("self", "msg_type", "sample_client_num"), ("sampler", "neighbors")),
    Place(SERVER, "Server.trigger_for_start", ("self",), ("check_client_join_in",)),
    Place(SERVER, "Server.check_client_join_in", ("self",), ("join_in_info", "join_in_client_num", "client_num")),
    Place(SERVER, "Server.run", ("self",), ("msg_handlers", "comm_manager", "receive", "state")),
)
WAKE_UP = f"{PRIVATE}wake_up"  # type of the message that wakes the server's loop
POLL_S = 0.25
KEY = "course.on_client_failure, course.round_deadline, course.round_quorum and clients that go offline"

logger = logging.getLogger(SERVER)


def are_enabled(settings: LaunchSettings) -> bool:
    """Whether the course has a policy that FederatedScope itself does not have."""
    ends_early = settings.round_deadline_s is not None or settings.round_quorum is not None
    return settings.on_client_failure == "continue" or ends_early or settings.goes_offline


class Policies:
    """The policies of one server. Replaces some of its methods; needs no thread."""

    def __init__(self, server: Any, gate: Path, settings: LaunchSettings, shared: PatchContext) -> None:
        """Attach to ``server``, which has not started to run.

        Raises:
            UnsupportedError: the policies are not possible in this kind of course.
        """
        _refuse_other_courses(server, settings)
        self._server = server
        self._communication = server.comm_manager
        self._settings = settings
        self._shared = shared
        self._asynchronous = bool(server._cfg.asyn.use)
        self._lost_clients = LostClients(gate)
        self._unreachable: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
        self._lost: dict[str, str] = {}  # reasons by device
        self._lost_addresses: set[str] = set()
        self._pending: list[tuple[str, int | None, str]] = []
        self._gone: set[int] = set()  # ids that are lost or will never be assigned
        self._offline = (
            OfflineClients(server.sampler, Absences(gate, settings.device)) if settings.goes_offline else None
        )
        self._clients = int(server.client_num)
        self._started = False
        self._members: dict[int, set[int]] = {}  # clients to which the model was sent, by round
        self._ends: dict[int, RoundEnd] = {}  # by round
        self._evaluators: set[int] = set()  # clients that were asked for the latest evaluation
        self._evaluation_end = RoundEnd(settings, time.monotonic(), has_quorum=False)
        self._merged: set[int] = set()  # evaluations that are done
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
        self._unreachable.put((peer, reason))

    def drop_lost_clients(self) -> None:
        """Stop waiting for clients that are lost, or offline, while the last messages are sent."""
        for device, client, reason in self._new_losses():
            self._drop(device, client, reason)
        self._take_absences()
        for client in self._away:  # the course is over, whenever they are back
            for forget in self._shared.forget:
                forget(self._communication.neighbors[client])

    def _new_losses(self) -> list[tuple[str, int | None, str]]:
        """Device, id (None: it has not joined) and reason of clients lost since the last call."""
        found: dict[str, tuple[int | None, str]] = {}
        if self._settings.on_client_failure == "continue":
            for device, reason in self._lost_clients.new_losses().items():
                if not any(is_at(device, address) for address in self._lost_addresses):
                    found[device] = self._id_of(device), reason
        while not self._unreachable.empty():
            client, reason = self._unreachable.get()
            if client in self._communication.neighbors:
                found.setdefault(self._device_of(client), (client, reason))
        unknown = [device for device, (client, _) in found.items() if client is None and self._started]
        for device in unknown:
            logger.warning(f"Server: {device} is reported as lost, but is not a client of this course")
            del found[device]
        return [(device, client, reason) for device, (client, reason) in found.items()]

    def _is_lost(self, joining: Any) -> bool:
        """Whether a client was given up before its join, which waited here, was read."""
        address = f"{joining['host']}:{joining['port']}"
        return any(is_at(device, address) for device in self._lost)

    def _id_of(self, device: str) -> int | None:
        for client, address in self._communication.neighbors.items():
            if is_at(device, address):
                return int(client)
        return None

    def _device_of(self, client: int) -> str:
        """The client's host, which is the device's name; with the port if several share a host."""
        neighbors = self._communication.neighbors
        host = neighbors[client].rpartition(":")[0]
        shared = sum(is_at(host, address) for address in neighbors.values()) > 1
        return str(neighbors[client] if shared else host)

    # --- replacements of the server's methods

    def _receive_or_wake_up(self) -> Any:
        """Return the next message, or a wake-up if there is something to do."""
        inbox = self._communication.server_funcs
        wait = getattr(inbox, "wait_for_message", None)  # of the patch busy_wait
        while True:
            self._pending = self._new_losses()
            if self._pending or self._changed_absences() or self._why_over() or self._is_evaluation_overdue():
                return importlib.import_module("federatedscope.core.message").Message(msg_type=WAKE_UP)
            if inbox.msg_queue:
                message = self._receive()
                if message.msg_type == "join_in":
                    if self._is_lost(message.content):
                        logger.info("Server: The join of a client that is lost is dropped")
                        continue
                elif message.sender in self._gone:
                    logger.info(f"Server: A message of client #{message.sender}, which is lost, is dropped")
                    continue
                return message
            if wait is not None:
                wait(min(POLL_S, max(0.0, self._ends_at() - time.monotonic())))

    def _send_to_present(self, message: Any) -> None:
        """Note which clients are asked for what, and until when; a busy straggler is not asked to evaluate."""
        receivers = message.receiver if isinstance(message.receiver, list) else [message.receiver]
        if message.msg_type == "evaluate" and not self._asynchronous:
            states = self._server.sampler.client_state
            # If all are busy, the idle ones were lost: ask the others.
            receivers = [client for client in receivers if states[client] == IDLE] or receivers
            message.receiver = receivers
        present = {client for client in receivers if client in self._communication.neighbors}
        now = time.monotonic()
        if message.msg_type == "evaluate":
            self._evaluators, self._evaluation_end = present, RoundEnd(self._settings, now, has_quorum=False)
        elif message.msg_type == "model_para":
            self._started = True
            self._members.setdefault(message.state, set()).update(present)
            if present:
                self._ends.setdefault(message.state, RoundEnd(self._settings, now))
        self._send(message)

    def _keep_state(self, indices: Any, state: str) -> None:
        """Keep clients that are lost or offline out of every sample."""
        self._change_state(indices, state)
        if self._offline is not None:
            self._offline.keep([indices] if isinstance(indices, int) else indices)
        for client in self._gone:
            self._server.sampler.client_state[client] = 0

    def _sample_idle(self, size: int) -> Any:
        self._started = True
        self._take_absences()
        return self._sample(size=min(size, int((self._server.sampler.client_state == IDLE).sum())))

    def _merge_once(self) -> None:
        self._merged.add(max(self._server.msg_buffer["eval"]))
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

    # --- how many answers are enough

    def _answered(self) -> set[int]:
        return set(self._server.msg_buffer["train"].get(self._server.state, {}))

    @property
    def _away(self) -> set[int]:
        """Clients that are offline, and not lost."""
        return set() if self._offline is None else self._offline.ids - self._gone

    def _changed_absences(self) -> dict[int, bool]:
        """Clients that have gone offline or are back; before the first round they have yet to join."""
        if self._offline is None or not self._started:
            return {}
        return self._offline.changed(self._communication.neighbors)

    def _take_absences(self) -> None:
        changed = self._changed_absences()
        for client, offline in changed.items():
            where = "offline" if offline else "online again"
            logger.info(f"Server: Client #{client} ({self._device_of(client)}) is {where}")
        if self._offline is not None:
            self._offline.take(changed)

    def _awaited(self) -> set[int]:
        """Clients that have answered this round or still can."""
        return (self._members.get(self._server.state, set()) - self._gone - self._away) | self._answered()

    def _needed_updates(self) -> int:
        server = self._server
        if server.state >= server.total_round_num:
            return 0
        if self._asynchronous:
            return min(int(server._cfg.asyn.min_received_num), max(1, self._alive()))
        answered, awaited = len(self._answered()), len(self._awaited())
        reason = self._why_over()
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
        needed, answered = self._evaluations()
        if not self._is_evaluation_overdue():
            return needed
        number = max(self._server.msg_buffer["eval"])
        self._log_overdue(number, "evaluated", f"{answered} of {needed} results")
        return answered

    def _evaluations(self) -> tuple[int, int]:
        """How many results the latest evaluation needs and has. One that is done needs none."""
        server = self._server
        rounds = server.msg_buffer["eval"]
        if not rounds or max(rounds) in self._merged:
            return 0, 0
        answered = set(rounds[max(rounds)])
        usual = server._cfg.asyn.min_received_num if self._asynchronous else server._cfg.federate.sample_client_num
        return min(int(usual), len((self._evaluators - self._gone - self._away) | answered)), len(answered)

    def _why_over(self) -> Reason | None:
        """Why the round ends without those that are still waited for; None: it does not, or there are none."""
        server = self._server
        end, answered = self._ends.get(server.state), len(self._answered())
        if end is None or server.state >= server.total_round_num or answered >= len(self._awaited()):
            return None
        return end.reason(answered, len(self._members[server.state]), time.monotonic())

    def _ends_at(self) -> float:
        """When the round ends if nothing more arrives, on the monotonic clock."""
        number = self._server.state
        end, asked = self._ends.get(number), len(self._members.get(number, ()))
        return math.inf if end is None else end.at(len(self._answered()), asked, time.monotonic())

    def _is_evaluation_overdue(self) -> bool:
        needed, answered = self._evaluations()
        return 0 < answered < needed and self._evaluation_end.reason(answered, needed, time.monotonic()) is not None

    def _log_overdue(self, number: int, what: str, share: str) -> None:
        deadline_s = self._settings.round_deadline_s
        logger.info(f"Server: Round #{number} is {what} after its deadline of {deadline_s:g} s with {share}")

    def _alive(self) -> int:
        return self._clients - len(self._lost)

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
        for members in (*self._members.values(), self._evaluators):
            members.discard(client)
        self._server.sampler.change_state(client, "idle")
        return self._started and self._handle_wake_up(None)

    def _drop(self, device: str, client: int | None, reason: str) -> None:
        self._lost[device] = " ".join(reason.split())
        if client is not None:
            address = self._communication.neighbors.pop(client)
            self._lost_addresses.add(address)
            self._gone.add(client)
            self._server.sampler.client_state[client] = 0
            for forget in self._shared.forget:
                forget(address)
            self._shared.activity.note("lost", peer=client)
        who = f"Client #{client} ({device})" if client is not None else f"A client ({device})"
        logger.warning(f"Server: {who} is lost: {self._lost[device]}; going on with {self._alive()} clients")
        if client is not None:
            self._shared.reporter.report(ClientLost(client, self._lost[device]))
        if self._alive() < max(1, self._settings.min_clients) and not self._server.is_finish:
            lost = "; ".join(f"{name}: {why}" for name, why in self._lost.items())
            raise ParticipantError(
                f"{self._alive()} of {self._clients} clients are left, course.min_clients is "
                f"{self._settings.min_clients}; lost: {lost}"
            )

    def _start_without(self, client: int | None) -> None:
        """A client was lost before the first round: start once the others have joined."""
        server = self._server
        with_info = len(server._cfg.federate.join_in_info) > 0
        if client is None:  # the highest id will not be assigned
            self._gone.add(int(server.client_num))
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
        elif not self._awaited() and not self._has_nobody():
            server.broadcast_model_para(msg_type="model_para", sample_client_num=server.sample_client_num)

    def _has_nobody(self) -> bool:
        """Whether clients are offline and the others busy, so that nobody can be asked before one is back."""
        return bool(self._away) and not (self._server.sampler.client_state == IDLE).any()

    def _repeat_evaluation_if_nobody_answers(self) -> None:
        """Ask the other clients if all that were asked for the final evaluation are gone and none has answered."""
        server = self._server
        asked = self._evaluators - self._gone - self._away
        if server._cfg.federate.make_global_eval or asked or self._evaluations()[1] or self._has_nobody():
            return
        server.broadcast_model_para(msg_type="evaluate", filter_unseen_clients=False)


def is_at(device: str, address: str) -> bool:
    """Whether ``device``, a name or an address, is at ``address``."""
    return device in (address, address.rpartition(":")[0])


def _refuse_other_courses(server: Any, settings: LaunchSettings) -> None:
    """Refuse courses whose servers run other kinds of rounds."""
    plain = importlib.import_module(SERVER).Server
    tree = server._cfg
    reasons = [
        f"{type(server).__name__} has its own kind of rounds"
        for name in ("check_and_move_on", "check_buffer")
        if getattr(type(server), name) is not getattr(plain, name) or name in vars(server)
    ][:1]
    reasons += ["federate.use_ss shares secrets among all clients"] if tree.federate.use_ss else []
    reasons += ["vertical.use needs the features of all clients"] if tree.vertical.use else []
    reasons += ["federate.online_aggr aggregates late updates as well"] if tree.federate.online_aggr else []
    if server.sampler is None:
        reasons.append(f"federate.sampler {tree.federate.sampler} does not know lost clients")
    needed = {"lost_message", "blocked_broadcast"} & set(settings.patches_off)
    if settings.goes_offline and needed:
        reasons.append(f"devices that go offline need federatedscope.patches.{' and '.join(sorted(needed))}")
    limits = {"course.round_deadline": settings.round_deadline_s, "course.round_quorum": settings.round_quorum}
    for key in (key for key, value in limits.items() if value is not None and tree.asyn.use):
        reasons.append(f"asyn.use has no rounds that end for all, {key} is for synchronous courses")
    if reasons:
        raise UnsupportedError(f"{KEY} are not possible in this course: {'; '.join(reasons)}")
