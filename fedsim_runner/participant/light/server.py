"""The server: waits for all clients, then rounds of FedAvg, then one ``finish``.

Order of events and log lines as FederatedScope's ``core/workers/server.py``; the round numbers in messages and lines
are its own (the first round is #0).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import ParticipantError
from .logs import RunLog, logger
from .models import load_parameters
from .results import Best, formatted, merged
from .settings import Settings
from .shards import Shard
from .tensors import Array, decode_parameters, encode_parameters
from .trainer import Trainer
from .transport import Transport
from .wire import Message

SERVER = 0


class Server:
    """The server of one course."""

    def __init__(self, settings: Settings, shard: Shard, log: RunLog) -> None:
        self._settings = settings
        self._log = log
        self._trainer = Trainer(settings, shard)
        self._best = Best(settings)
        self._joined: dict[str, int] = {}  # ids by address
        self._sampler = np.random.default_rng(settings.seed)
        self._can_evaluate = any(split in shard for split in settings.eval_splits)
        self._transport = Transport(settings.server_host, settings.server_port)

    def run(self) -> None:
        """Run the whole course.

        Raises:
            ParticipantError: a client cannot be reached, or sends what makes no sense.
        """
        settings = self._settings
        if settings.make_global_eval and not self._can_evaluate:
            raise ParticipantError("federate.make_global_eval needs val or test data on the server")
        logger.info(f"Server: Listen to {settings.server_host}:{settings.server_port}...")
        try:
            self._wait_for_clients()
            self._train()
            self._finish()
        finally:
            self._transport.close()

    def _wait_for_clients(self) -> None:
        joined = self._joined
        informed: set[int] = set()
        wanted = self._settings.client_num
        while len(joined) < wanted or (self._settings.join_in_info and len(informed) < wanted):
            message = self._transport.wait(
                self._transport.peers,
                lambda: f"Server: waiting for clients: {len(joined)} of {wanted} have joined: {', '.join(joined)}",
            )
            if message.msg_type == "join_in":
                address = _address(message)
                # A known address asks again when it did not get our answer, or was started again: same id.
                client = joined.setdefault(address, len(joined) + 1)
                if client not in self._transport.peers:
                    self._transport.add_peer(client, address)
                self._send("assign_client_id", [client], 0, str(client))
                if self._settings.join_in_info:
                    self._send("ask_for_join_in_info", [client], 0, list(self._settings.join_in_info))
                else:
                    logger.info(f"Server: Client #{client} has joined in !")
            elif message.msg_type == "join_in_info":
                informed.add(message.sender)
                logger.info(f"Server: Client #{message.sender} has joined in !")
            else:
                raise ParticipantError(f"message {message.msg_type} of #{message.sender} came before the course began")

    def _train(self) -> None:
        total = self._settings.total_rounds
        logger.info("----------- Starting training (Round #0) -------------")
        for state in range(total):
            if state:
                logger.info(f"----------- Starting a new training round (Round #{state}) -------------")
            self._aggregate(self._round(state))
            done = state + 1
            if done == total:
                logger.info("Server: Training is finished! Starting evaluation.")
                self._evaluate(done)
            elif done % self._settings.eval_freq == 0:
                logger.info(f"Server: Starting evaluation at the end of round {state}.")
                if self._evaluate(done):
                    self._send("converged", self._transport.peers, done, "None")
                    return

    def _round(self, state: int) -> list[tuple[float, dict[str, Array]]]:
        """Send the model out and collect what comes back: samples and parameters of each client."""
        peers = self._transport.peers
        size = self._settings.sample_client_num
        chosen = peers if size >= len(peers) else sorted(self._sampler.choice(peers, size, replace=False).tolist())
        request = Message("model_para", SERVER, chosen, state, encode_parameters(self._trainer.model.parameters))
        updates: dict[int, tuple[float, dict[str, Array]]] = {}
        for message in self._answers(request, "model_para"):
            try:
                samples, parameters = message.content
                updates[message.sender] = float(samples), decode_parameters(parameters)
            except (TypeError, ValueError) as error:
                raise ParticipantError(f"the update of client #{message.sender} makes no sense: {error}") from error
        # In the order of ids, not of arrival: floating-point sums depend on it.
        return [updates[client] for client in chosen]

    def _aggregate(self, updates: list[tuple[float, dict[str, Array]]]) -> None:
        """FedAvg (McMahan et al. 2017): the mean of the parameters, weighted by samples."""
        weights = np.array([1.0 if self._settings.ignore_weight else samples for samples, _ in updates])
        if not 0 < weights.sum() < np.inf:
            raise ParticipantError("the clients report no samples to weigh their updates by")
        weights = weights / weights.sum()
        try:
            mean = {
                name: sum(weight * parameters[name] for weight, (_, parameters) in zip(weights, updates, strict=True))
                for name in self._trainer.model.parameters
            }
        except (KeyError, ValueError) as error:
            raise ParticipantError(f"the clients' models do not fit together: {error}") from error
        load_parameters(self._trainer.model, mean)

    def _evaluate(self, done: int) -> bool:
        """Evaluate after ``done`` rounds; whether training should stop early."""
        if self._settings.make_global_eval:
            results: dict[str, float] = {}
            for split in self._settings.eval_splits:
                results.update(self._trainer.evaluate(split))
            self._log.results(formatted("Server #", done, results))
            self._best.update("server_global_eval", results)
            return False
        state = done - 1
        parameters = {name: value.tolist() for name, value in self._trainer.model.parameters.items()}
        peers = self._transport.peers
        request = Message("evaluate", SERVER, peers, state, parameters)
        answers = {message.sender: _numbers(message) for message in self._answers(request, "metrics")}
        ordered = [answers[client] for client in sorted(answers)]
        line = merged(state, ordered, self._settings.report)
        per_client = formatted("Server #", state, raw) if (raw := line.pop("Results_raw", None)) else None
        self._log.results(line, per_client)
        summary = line.get("Results_weighted_avg") or line.get("Results_avg") or {}
        self._best.update("client_summarized_weighted_avg", summary)
        return self._best.should_stop(summary)

    def _finish(self) -> None:
        logger.info("Server: Final evaluation is finished! Starting merging results.")
        self._log.results(formatted("Server #", "Final", self._best.results))
        transport = self._transport
        self._log.finished(SERVER, self._trainer.model, transport.sent_bytes, transport.received_bytes)
        parameters = {name: value.tolist() for name, value in self._trainer.model.parameters.items()}
        self._send("finish", self._transport.peers, self._settings.total_rounds, parameters)

    def _answers(self, request: Message, kind: str) -> list[Message]:
        """Send ``request``; one message of ``kind`` for its round from each of its receivers."""
        self._transport.send(request)
        missing, answers = set(request.receiver), []
        while missing:
            message = self._transport.wait(
                missing, lambda: f"Server: waiting for {kind} of {self._transport.names(sorted(missing))}"
            )
            if message.msg_type == kind and message.state == request.state and message.sender in missing:
                missing.remove(message.sender)
                answers.append(message)
            elif message.msg_type == "join_in":
                self._join_again(_address(message), request, missing)
            else:
                logger.info(f"Drop a out-of-date message from round #{message.state}")
        return answers

    def _join_again(self, address: str, request: Message, missing: set[int]) -> None:
        """A client was started again in the middle of the course, or never heard that it was let in."""
        client = self._joined.get(address)
        if client is None:
            logger.warning(f"a participant at {address} wants to join a course that runs: refused")
            return
        logger.warning(f"client #{client} ({address}) joins again")
        self._send("assign_client_id", [client], 0, str(client))
        if client in missing:
            self._transport.send(replace(request, receiver=[client]))

    def _send(self, kind: str, clients: list[int], state: int, content: Any) -> None:
        self._transport.send(Message(kind, SERVER, clients, state, content))


def _address(message: Message) -> str:
    try:
        return f"{message.content['host']}:{message.content['port']}"
    except (TypeError, KeyError) as error:
        raise ParticipantError(f"a participant joined without an address: {message.content!r}") from error


def _numbers(message: Message) -> dict[str, float]:
    try:
        return {str(name): float(value) for name, value in message.content.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ParticipantError(f"the metrics of client #{message.sender} make no sense: {error}") from error
