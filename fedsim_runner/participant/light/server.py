"""The server: waits for all clients, then rounds of FedAvg, then one ``finish``.

Order of events and log lines as FederatedScope's ``core/workers/server.py``; the round numbers in messages and lines
are its own (the first round is #0).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedsim_runner.contract.course_state import accuracy_of
from fedsim_runner.contract.participant_events import (
    ClientLost,
    EvaluationStarted,
    Finished,
    RoundStarted,
    TargetReached,
    TrainingFinished,
)
from fedsim_runner.contract.records import LaunchSettings

from ..absences import Absences
from ..activity import Activity
from ..exit_errors import ParticipantError
from ..senders import Door, RefusedMessageError, UnaskedMessageError, read_address
from ..tensors import Array, encode_parameters
from .answers import read_metrics, read_update
from .asking import WORDS, Asking
from .fedavg import mean_parameters
from .models import load_parameters
from .results import Best, formatted, merged
from .roster import Roster
from .run_log import RunLog, logger
from .saved_model import restore, save
from .settings import Settings
from .shards import Shard
from .trainer import Trainer
from .transport import LIMIT_BYTES, Transport
from .wire import SERVER, Message

# A parameter takes at most 17 bytes in a message, as a nested list of numbers.
_BYTES_PER_PARAMETER, _OTHER_BYTES = 32, 1 << 20


class Server:
    """The server of one course.

    With ``policy.on_client_failure`` continue a lost client is given up. An evaluation that reaches
    ``policy.target`` is the last.

    Raises:
        ParticipantError: it cannot listen, has no data for an evaluation of its own, or the model that it is to start
            with cannot be read or is of another kind.
    """

    def __init__(
        self,
        settings: Settings,
        shard: Shard,
        log: RunLog,
        activity: Activity,
        policy: LaunchSettings,
        gate: Path | None,
    ) -> None:
        self._settings = settings
        self._log = log
        self._activity = activity
        self._target = policy.target
        self._trainer = Trainer(settings, shard)
        if settings.restore_from is not None:
            restore(self._trainer.model, settings.restore_from)
        self._best = Best(settings)
        self._roster = Roster(settings.client_num, policy, gate, activity, log)
        self._round_number = 0
        if settings.make_global_eval and not any(split in shard for split in settings.eval_splits):
            raise ParticipantError("federate.make_global_eval needs val or test data on the server")
        self._absences = Absences(gate, policy.device) if policy.goes_offline and gate is not None else None
        self._has_begun = False
        self._door = Door()
        size = sum(parameter.size for parameter in self._trainer.model.parameters.values())
        self._transport = Transport(
            settings.server_host,
            settings.server_port,
            activity,
            on_failure=self._failed,
            poll=self._poll if self._roster.watches_for_losses or self._absences is not None else None,
            accept=self._accept,
            limit_bytes=min(LIMIT_BYTES, _OTHER_BYTES + _BYTES_PER_PARAMETER * size),
            answer_s=policy.answer_s,
            scale=policy.time_scale,
            parted_s=policy.parted_s,
        )
        self._asking = Asking(self._transport, self._roster, log, activity, policy, settings.seed, self._failed)
        log.listening(f"Server: Listen to {settings.server_host}:{settings.server_port}...")

    def run(self) -> None:
        """Run the whole course.

        Raises:
            ParticipantError: a client cannot be reached, or sends an invalid message.
        """
        try:
            self._wait_for_clients()
            self._has_begun = True
            self._poll()
            self._train()
            self._finish()
        finally:
            self._transport.close()

    def _wait_for_clients(self) -> None:
        roster = self._roster
        informed: set[int] = set()

        def complete() -> bool:
            joined = roster.present
            return len(joined) >= roster.expected and (not self._settings.join_in_info or informed >= set(joined))

        while not complete():
            message = self._transport.wait_until(
                self._transport.peers,
                lambda: (
                    f"Server: waiting for clients: {len(roster.present)} of {roster.expected} have joined: "
                    f"{self._transport.names(roster.present)}"
                ),
                enough=complete,
            )
            if message is None:
                continue
            if message.msg_type == "join_in":
                host, port = read_address(message.content)
                # A known address joins again if it did not get our answer, or was restarted: same id.
                client = roster.admit(host, port)
                if client is None:
                    logger.warning(f"a participant at {host}:{port} wants to join a course that is full: refused")
                    continue
                if client not in self._transport.peers:
                    self._transport.add_peer(client, f"{host}:{port}")
                self._post("assign_client_id", [client], 0, str(client))
                if self._settings.join_in_info:
                    self._post("ask_for_join_in_info", [client], 0, list(self._settings.join_in_info))
                else:
                    logger.info(f"Server: Client #{client} has joined in !")
            elif message.msg_type == "join_in_info" and message.sender not in informed:
                informed.add(message.sender)
                logger.info(f"Server: Client #{message.sender} has joined in !")

    def _train(self) -> None:
        total = self._settings.total_rounds
        for state in range(total):
            self._round_number = state
            what = "a new training round" if state else "training"
            self._log.event(RoundStarted(state), f"----------- Starting {what} (Round #{state}) -------------")
            updates = self._round(state)
            self._activity.note("aggregate", round=state)
            mean = mean_parameters(list(updates.values()), self._settings.ignore_weight)
            load_parameters(self._trainer.model, mean)
            self._activity.note("aggregated", round=state)
            for client in updates:
                self._activity.note("used", peer=client, round=state, staleness=0)
            done = state + 1
            if done == total:
                self._log.event(TrainingFinished(), "Server: Training is finished! Starting evaluation.")
                self._evaluate(done)
            elif done % self._settings.eval_freq == 0:
                text = f"Server: Starting evaluation at the end of round {state}."
                self._log.event(EvaluationStarted(state), text)
                if self._evaluate(done):
                    if self._best.stopped:
                        self._post("converged", self._roster.present, done, "None")
                    return

    def _round(self, state: int) -> dict[int, tuple[float, dict[str, Array]]]:
        """Send the model and collect the answers: samples and parameters by client."""
        content = encode_parameters(self._trainer.model.parameters)
        own = self._trainer.model.parameters
        updates = self._asking.answers(
            Message("model_para", SERVER, [], state, content),
            "model_para",
            self._settings.sample_client_num,
            lambda update: read_update(update, own),
        )
        # In the order of ids, not of arrival: floating-point sums depend on it.
        return {client: updates[client] for client in sorted(updates)}

    def _evaluate(self, done: int) -> bool:
        """Evaluate after ``done`` rounds; return whether training should stop early."""
        state = done - 1
        self._activity.note("evaluate", round=state)
        stop = self._global_evaluation(done) if self._settings.make_global_eval else self._clients_evaluation(state)
        self._activity.note("evaluated", round=state)
        return stop

    def _global_evaluation(self, done: int) -> bool:
        results: dict[str, float] = {}
        for split in self._settings.eval_splits:
            results.update(self._trainer.evaluate(split))
        self._log.results(formatted("Server #", done, results))
        self._best.update("server_global_eval", results)
        return self._reaches_target(done, results)

    def _clients_evaluation(self, state: int) -> bool:
        parameters = {name: value.tolist() for name, value in self._trainer.model.parameters.items()}
        request, splits = Message("evaluate", SERVER, [], state, parameters), self._settings.eval_splits
        answers = self._asking.answers(
            request, "metrics", self._settings.client_num, lambda metrics: read_metrics(metrics, splits)
        )
        ordered = [answers[client] for client in sorted(answers)]
        line = merged(state, ordered, self._settings.report)
        per_client = formatted("Server #", state, raw) if (raw := line.pop("Results_raw", None)) else None
        self._log.results(line, per_client)
        summary = line.get("Results_weighted_avg") or line.get("Results_avg") or {}
        self._best.update("client_summarized_weighted_avg", summary)
        stops = self._best.should_stop(summary)
        return self._reaches_target(state + 1, summary) or stops

    def _reaches_target(self, done: int, results: Mapping[str, float]) -> bool:
        accuracy = accuracy_of(results)
        if self._target is None or accuracy is None or accuracy < self._target or done == self._settings.total_rounds:
            return False
        text = f"Server: The accuracy {accuracy:.4f} reaches the target {self._target:g}: the course ends here"
        self._log.event(TargetReached(accuracy, self._target), text)
        return True

    def _finish(self) -> None:
        self._log.event(Finished(), "Server: Final evaluation is finished! Starting merging results.")
        if self._settings.save_to is not None:
            save(self._trainer.model, self._settings.save_to, self._round_number + 1)
        self._log.results(formatted("Server #", "Final", self._best.results))
        transport = self._transport
        self._log.finished(SERVER, self._trainer.model, transport.sent_bytes, transport.received_bytes)
        parameters = {name: value.tolist() for name, value in self._trainer.model.parameters.items()}
        self._post("finish", self._roster.present, self._settings.total_rounds, parameters)
        transport.flush(to_offline=False)  # the course is over, whenever they are back

    def _post(self, kind: str, clients: list[int], state: int, content: Any) -> None:
        self._transport.post(Message(kind, SERVER, clients, state, content))

    def _accept(self, message: Message, source: str) -> bool:
        """Whether to take a message; one that its sender only repeats is acknowledged.

        Called by a thread of gRPC.
        """
        if message.msg_type == "join_in":
            self._door.check_join(message.content, source)
            return True
        if message.msg_type not in ("join_in_info", *WORDS):
            raise RefusedMessageError("no client sends such a message")
        client, kind, number = message.sender, message.msg_type, message.state
        self._roster.check_sender(client, source)
        if not self._roster.is_present(client):
            raise UnaskedMessageError(f"client #{client} was given up", client)
        if kind == "join_in_info" or self._roster.expects(client, kind, number):
            return True
        if not self._roster.repeats(client, kind, number):
            raise UnaskedMessageError(f"nobody has asked client #{client} for {kind} of round {number}", client)
        return False

    def _failed(self, client: int, reason: str) -> None:
        """A client accepts no message, refuses connections, or answers what nobody can use."""
        if not self._roster.tolerates_losses:
            self._log.report(ClientLost(client, reason))
            raise ParticipantError(reason)
        self._give_up(client, reason)

    def _poll(self) -> None:
        """Look for clients that the agent has given up, and for those that are offline, or are back."""
        for client, reason in self._roster.new_losses().items():
            self._give_up(client, reason)
        if self._absences is None or not self._has_begun:
            return  # a device's link is cut once it has joined
        self._absences.refresh()
        for client in self._roster.present:
            offline = self._absences.cut_off(self._transport.address(client))
            if self._roster.set_offline(client, offline):
                self._transport.set_offline(client, offline)

    def _give_up(self, client: int, reason: str) -> None:
        if not self._roster.is_present(client):
            return
        self._transport.drop_peer(client)
        self._roster.give_up(client, reason)
