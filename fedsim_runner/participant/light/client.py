"""A client: joins, trains the models that it receives, evaluates on request, ends on ``finish``."""

from __future__ import annotations

import time
from collections.abc import Callable

from fedsim_runner.contract.participant_events import Finished, Joined
from fedsim_runner.contract.records import LaunchSettings

from ..absences import Absences
from ..activity import Activity
from ..exit_errors import ParticipantError
from ..senders import RefusedMessageError, server_addresses
from ..tensors import decode_parameters, encode_parameters
from .models import load_parameters
from .results import formatted
from .run_log import RunLog, logger
from .settings import Settings
from .shards import Shard
from .trainer import Trainer
from .transport import Transport
from .wire import SERVER, Message

NOT_ASSIGNED = -1


class Client:
    """One client of one course; message handlers as FederatedScope's ``core/workers/client.py``.

    Args:
        policy: says how long it waits for the server.
        absences: who is offline; None: nobody ever is.
    """

    def __init__(
        self,
        settings: Settings,
        shard: Shard,
        log: RunLog,
        activity: Activity,
        policy: LaunchSettings,
        absences: Absences | None = None,
    ) -> None:
        self._settings = settings
        self._log = log
        self._activity = activity
        self._answer_s = policy.answer_s
        self._absences = absences
        self._has_joined = False
        self._trainer = Trainer(settings, shard)
        self._id = NOT_ASSIGNED
        self._state = 0
        self._server_addresses = server_addresses(settings.server_host)
        self._transport = Transport(
            settings.client_host,
            settings.client_port,
            activity,
            poll=self._poll if absences is not None else None,
            accept=self._is_from_server,
            answer_s=policy.answer_s,
            scale=policy.time_scale,
            parted_s=policy.parted_s,
        )
        self._transport.add_peer(SERVER, f"{settings.server_host}:{settings.server_port}")
        log.listening(f"Client: Listen to {settings.client_host}:{settings.client_port}...")
        self._handlers: dict[str, Callable[[Message], None]] = {
            "assign_client_id": self._on_assign,
            "ask_for_join_in_info": self._on_ask,
            "address": self._ignore,
            "model_para": self._on_model,
            "evaluate": self._on_evaluate,
            "converged": self._ignore,
        }

    def run(self) -> None:
        """Join and serve until the course is finished.

        Raises:
            ParticipantError: the server cannot be reached, or sends an invalid message.
        """
        settings = self._settings
        address = {"host": settings.client_host, "port": settings.client_port}
        join = Message("join_in", NOT_ASSIGNED, [SERVER], 0, address)
        self._transport.send(join, first_contact=True)
        try:
            while True:
                message = self._transport.wait([SERVER], lambda: f"Client #{self._id}: waiting for the server")
                if message.msg_type == "finish":
                    self._on_finish()
                    # The answer to it is lost if this device's network ends before it has left the link.
                    time.sleep(self._answer_s / 2)
                    return
                if self._is_superseded(message):
                    logger.info(f"Drop a out-of-date message from round #{message.state}")
                    continue
                handler = self._handlers.get(message.msg_type)
                if handler is None:
                    raise ParticipantError(f"message {message.msg_type} is unknown to the light engine")
                handler(message)
        finally:
            self._transport.close()

    def _is_from_server(self, message: Message, source: str) -> bool:
        """Called by a thread of gRPC: other clients may send what they like, they do not lead this one."""
        if message.sender != SERVER or source not in self._server_addresses:
            raise RefusedMessageError(f"{message.msg_type[:20]!r} is not from the server")
        return True

    def _poll(self) -> None:
        """Look whether this device, or the server, is offline; not before its link may be cut."""
        if self._absences is not None and self._has_joined and self._absences.refresh():
            self._transport.set_offline(SERVER, self._absences.cut_off(self._transport.address(SERVER)))

    def _on_assign(self, message: Message) -> None:
        self._id = int(message.content)
        settings = self._settings
        address = f"{settings.client_host}:{settings.client_port}"
        self._log.event(Joined(self._id), f"Client (address {address}) is assigned with #{self._id}.")
        self._has_joined = not settings.join_in_info

    def _on_ask(self, message: Message) -> None:
        settings = self._settings
        per_step = settings.batch_size if settings.batch_or_epoch == "batch" else self._trainer.train_samples
        info = {"num_sample": settings.local_update_steps * per_step}
        self._reply(message, "join_in_info", info)
        self._has_joined = True

    def _on_model(self, message: Message) -> None:
        load_parameters(self._trainer.model, decode_parameters(message.content))
        self._state = message.state
        self._activity.note("train", round=self._state)
        samples, results = self._trainer.train()
        self._activity.note("trained", round=self._state)
        self._log.results(formatted(f"Client #{self._id}", self._state, results))
        self._reply(message, "model_para", [samples, encode_parameters(self._trainer.model.parameters)])

    def _on_evaluate(self, message: Message) -> None:
        load_parameters(self._trainer.model, decode_parameters(message.content))
        self._state = message.state
        self._activity.note("evaluate", round=self._state)
        metrics: dict[str, float] = {}
        for split in self._settings.eval_splits:
            results = self._trainer.evaluate(split)
            if results:
                self._log.results(formatted(f"Client #{self._id}", self._state, results))
            metrics.update(results)
        self._activity.note("evaluated", round=self._state)
        if not metrics:
            raise ParticipantError(f"none of eval.split ({', '.join(self._settings.eval_splits)}) is in this shard")
        self._reply(message, "metrics", metrics)

    def _on_finish(self) -> None:
        self._log.event(Finished(), f"================= client {self._id} received finish message =================")
        self._log.finished(self._id, self._trainer.model, self._transport.sent_bytes, self._transport.received_bytes)

    def _ignore(self, message: Message) -> None:
        """A plain FedAvg client needs neither the addresses of other clients nor the early end of training."""

    def _is_superseded(self, message: Message) -> bool:
        """Whether the server has sent a newer model, or the end, since. A slow client trains the newest model."""
        if message.msg_type not in ("model_para", "evaluate"):
            return False
        return any(
            later.msg_type == "finish" or (later.msg_type == message.msg_type == "model_para")
            for later in self._transport.waiting()
        )

    def _reply(self, message: Message, kind: str, content: object) -> None:
        if any(later.msg_type == "finish" for later in self._transport.waiting()):
            return  # nobody waits for the answer, and the server may have ended
        # The server refuses a time stamp older than its own, so its own is returned.
        self._transport.post(Message(kind, self._id, [SERVER], self._state, content, message.timestamp))
        # A server that has said goodbye may have ended; that comes while this device is offline, or has just been.
        self._transport.flush(enough=lambda: self._transport.has_arrived("finish"))
