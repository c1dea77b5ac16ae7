"""Which messages a FederatedScope participant takes: from whom they come, whether they were asked for, what they hold.

FederatedScope's server takes every message at its word. Here it takes a message from a client only if its connection
comes from that client's device and it answers what the client was asked. One whose content nobody can use costs its
client: it is given up, or the course fails with its name, as if it could not be reached.
"""

from __future__ import annotations

import importlib
import math
import threading
from collections import Counter, defaultdict
from typing import Any

from ..senders import Door, NotYetError, RefusedMessageError, check_source, server_addresses
from .answers import UnusableAnswerError, check_importance, check_info, check_metrics, like_most, read_update
from .inbox import address_in, addresses_in, number_of, text_of
from .patch_context import PatchContext

MESSAGE = "federatedscope.core.message"
DROPPED = "fedsim_dropped"  # type of the message that stands for one that was dropped
SERVER_ID, NO_ID = 0, -1
# Requests, and the kinds of messages that answer them.
_ANSWERS = {"model_para": "model_para", "evaluate": "metrics", "ask_for_join_in_info": "join_in_info"}
_MOST_WAITING = 100  # messages of one client; none that keeps to the protocol has more than a few
_BYTES_PER_PARAMETER, _OTHER_BYTES = 64, 1 << 20
_JOIN_BYTES = 1 << 16
# What clients send unasked where each has other features: to the server, and to each other.
_OF_TREES = ("eval_metric", "feature_importance")
_BETWEEN_CLIENTS = ("data_sample", "training_info", "split", "continue_training", "split_request", "split_result",
                    "ask_for_feature_importance")  # fmt: skip

Asked = tuple[str, int]  # the kind of an answer, and its round


class ServerDoor:
    """The door of a server. Replaces its ``receive`` and notes what its ``send`` asks for."""

    def __init__(self, server: Any, shared: PatchContext) -> None:
        """Attach to ``server``, which has not started to run; before the policies, which wrap the same methods."""
        self._server = server
        self._shared = shared
        self._communication = server.comm_manager
        self._clients = int(server.client_num)
        self._door = Door()
        self._lock = threading.Lock()
        self._joined: set[str] = set()  # addresses
        self._addresses: dict[int, str] = {}  # also of clients that were given up
        self._asked: defaultdict[int, set[Asked]] = defaultdict(set)
        self._waiting: Counter[int] = Counter()
        self._unasked = _OF_TREES if server._cfg.vertical.use else ()
        self._limit = _OTHER_BYTES
        if not self._unasked:  # trees have no parameters
            self._limit += _BYTES_PER_PARAMETER * sum(
                value.numel() for model in server.models for value in model.state_dict().values()
            )
        self._send = self._communication.send
        self._merge = server.merge_eval_results_from_all_clients
        self._communication.send = self._note_and_send
        self._communication.receive = self._receive
        server.merge_eval_results_from_all_clients = self._merge_like_results
        server.register_handlers(DROPPED, _do_nothing)
        shared.accept = self._accept

    def _accept(self, request: Any, source: str) -> bool:
        """Whether to take a message; what nobody has asked for is acknowledged only: it may be sent for a second time.

        Called by threads of gRPC.
        """
        kind, sender, size = text_of(request, "msg_type"), number_of(request, "sender"), request.ByteSize()
        if kind == "join_in":
            if size > _JOIN_BYTES or sender != NO_ID:
                raise RefusedMessageError("it does not join as clients do")
            return self._accept_join(address_in(request), source)
        address = self._addresses.get(sender)
        if address is None:
            raise RefusedMessageError(f"it speaks for client #{sender}, which is not in the course")
        check_source(f"client #{sender}", address.rpartition(":")[0], source)
        if sender not in self._communication.neighbors:
            return False  # it was given up, and need not end because it is refused
        asked = kind, number_of(request, "state") if kind != "join_in_info" else 0
        with self._lock:
            if kind not in self._unasked and asked not in self._asked[sender]:
                return False
            if size > self._limit or self._waiting[sender] >= _MOST_WAITING:
                raise RefusedMessageError(f"{kind} is larger than {self._limit} bytes, or one of too many")
            self._asked[sender].discard(asked)
            self._waiting[sender] += 1
        return True

    def _accept_join(self, content: dict[str, Any], source: str) -> bool:
        self._door.check_join(content, source)
        address = f"{content['host']}:{content['port']}"
        with self._lock:
            if address not in self._joined and len(self._joined) >= self._clients:
                raise RefusedMessageError("the course is full")
            self._joined.add(address)
        return True

    def _note_and_send(self, message: Any) -> None:
        answer = _ANSWERS.get(message.msg_type)
        receivers = message.receiver if isinstance(message.receiver, list) else [message.receiver]
        if message.msg_type == "assign_client_id":
            neighbors = self._communication.neighbors
            self._addresses.update((int(client), str(neighbors[client])) for client in receivers)
        if answer is not None:
            number = int(message.state) if answer != "join_in_info" else 0
            with self._lock:
                for client in receivers:
                    self._asked[int(client)].add((answer, number))
        self._send(message)

    def _receive(self) -> Any:
        """The next message, decoded and checked; a message that does nothing in place of one that nobody can use."""
        request = self._communication.server_funcs.receive()
        message = importlib.import_module(MESSAGE).Message()
        kind, sender = text_of(request, "msg_type"), number_of(request, "sender")
        with self._lock:
            self._waiting[sender] -= kind != "join_in"
        try:
            try:
                message.parse(request.msg)
            except Exception as error:  # an empty part raises nearly anything
                raise UnusableAnswerError(f"it is not complete: {type(error).__name__}") from error
            self._check(message)
        except UnusableAnswerError as error:
            self._shared.unreachable(sender, kind, f"its {kind} is not valid: {error}")
            return importlib.import_module(MESSAGE).Message(msg_type=DROPPED)
        return message

    def _check(self, message: Any) -> None:
        server = self._server
        match message.msg_type:
            case "join_in_info":
                check_info(message.content, list(server._cfg.federate.join_in_info))
            case "metrics" | "eval_metric":
                check_metrics(message.content)
            case "feature_importance":
                check_importance(message.content)
            case "model_para":
                message.content = read_update(server, message.content)
                moment = message.timestamp
                if not isinstance(moment, int | float) or not math.isfinite(moment):
                    raise UnusableAnswerError("its time stamp is not a number")
                # The server stops at a time stamp that lies before another client's.
                message.timestamp = max(moment, server.cur_timestamp)

    def _merge_like_results(self) -> Any:
        rounds = self._server.msg_buffer["eval"]
        results = rounds[max(rounds)]
        kept = like_most(results)
        rounds[max(rounds)] = {client: results[client] for client in kept}
        return self._merge()


def guard_client(server_host: str, shared: PatchContext, with_others: bool = False) -> None:
    """Have a client take messages from the server only: others may send what they like, they do not lead it.

    ``with_others``: clients work with each other as well, each from the address that the server has named.
    """
    addresses = server_addresses(server_host)
    others: dict[int, str] = {}

    def accept(request: Any, source: str) -> bool:
        kind, sender = text_of(request, "msg_type"), number_of(request, "sender")
        if sender == SERVER_ID and source in addresses:
            if with_others and kind == "address":
                others.update(addresses_in(request))
            return True
        if not with_others or kind not in _BETWEEN_CLIENTS:
            raise RefusedMessageError(f"{kind[:20]!r} is not from the server")
        if not others:
            raise NotYetError("the server has not named the other clients yet")
        if sender not in others:
            raise RefusedMessageError(f"it speaks for client #{sender}, which is not in the course")
        check_source(f"client #{sender}", others[sender].rpartition(":")[0], source)
        return True

    shared.accept = accept


def _do_nothing(message: Any) -> bool:
    """Handle a message that was dropped: the course does not move on."""
    return False
