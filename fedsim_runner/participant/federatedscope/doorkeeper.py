"""Which messages a FederatedScope participant takes: from whom they come, whether they were asked for, what they hold.

FederatedScope's server takes every message at its word. Here it takes a message from a client only if its connection
comes from that client's device and it answers what the client was asked. One whose content nobody can use costs its
client: it is given up, or the course fails with its name, as if it could not be reached.

Of a worker of the user's own (:mod:`.own_workers`) nobody knows what it asks for, and what it can use. There every kind
is taken that the worker has a handler for, from a client's own device, and its texts may be pickles of numbers only.
"""

from __future__ import annotations

import importlib
import logging
import math
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from typing import Any

from ..pickle_check import check_texts
from ..senders import Door, NotYetError, RefusedMessageError, UnaskedMessageError, check_source, server_addresses
from ..tensors import TensorError
from . import own_workers
from .answers import UnusableAnswerError, check_importance, check_info, check_metrics, like_most, read_update
from .inbox import address_in, addresses_in, number_of, text_of
from .own_workers import OwnParts
from .patch_context import PatchContext

MESSAGE = "federatedscope.core.message"
DROPPED = f"{own_workers.PRIVATE}dropped"  # type of the message that stands for one that was dropped
SERVER_ID, NO_ID = 0, -1
# Ends the reason for refusing what FederatedScope itself would have taken.
SWITCH = "federatedscope.patches.hostile_messages: false takes it unchecked"
# Requests, and the kinds of messages that answer them.
_ANSWERS = {"model_para": "model_para", "evaluate": "metrics", "ask_for_join_in_info": "join_in_info"}
_MOST_WAITING = 100  # messages of one client; none that keeps to the protocol has more than a few
_MOST_WAITING_OF_ITS_OWN = 10_000  # where the user's own worker may send any number of small ones
_REMEMBERED = 100  # answers of one client: a message that is sent again repeats one of the last
_BYTES_PER_PARAMETER, _OTHER_BYTES = 64, 1 << 20
_JOIN_BYTES = 1 << 16
# What clients send unasked where each has other features: to the server, and to each other.
_OF_TREES = ("eval_metric", "feature_importance")
BETWEEN_TREES = ("data_sample", "training_info", "split", "continue_training", "split_request", "split_result",
                 "ask_for_feature_importance")  # fmt: skip

logger = logging.getLogger("federatedscope.core.workers.server")

Asked = tuple[str, int]  # the kind of an answer, and its round


class ServerDoor:
    """The door of a server. Replaces its ``receive`` and notes what its ``send`` asks for."""

    def __init__(self, server: Any, shared: PatchContext, own: OwnParts) -> None:
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
        self._answered: defaultdict[int, deque[Asked]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))
        self._waiting: Counter[int] = Counter()
        self._waiting_bytes: Counter[int] = Counter()
        self._unasked = _OF_TREES if server._cfg.vertical.use else ()
        self._own = own
        self._limit = self._largest_message()
        if own.worker is not None:
            open_ = "whether they were asked for, and what else they hold," if own.says_anything else "what they hold"
            logger.info(
                f"Server: {own.worker} is not FederatedScope's own: messages are taken from clients' own devices only, "
                f"and pickles in them may hold numbers only; {open_} is not checked"
            )
        self._send = self._communication.send
        self._merge = server.merge_eval_results_from_all_clients
        self._communication.send = self._note_and_send
        self._communication.receive = self._receive
        if own.merges:
            server.merge_eval_results_from_all_clients = self._merge_like_results
        server.register_handlers(DROPPED, _do_nothing)
        shared.accept = self._accept

    def _largest_message(self) -> int:
        """The most bytes of a message; where it may have any form, those that gRPC takes."""
        server = self._server
        if not self._own.aggregates:
            return int(server._cfg.distribute.grpc_max_receive_message_length)
        parameters = 0
        if not self._unasked:  # trees have no parameters
            parameters = sum(value.numel() for model in server.models for value in model.state_dict().values())
        return _OTHER_BYTES + _BYTES_PER_PARAMETER * parameters

    def _accept(self, request: Any, source: str) -> bool:
        """Whether to take a message; one that its sender only repeats is acknowledged.

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
            # It need not end because it is refused.
            raise UnaskedMessageError(f"client #{sender} was given up", sender)
        with self._lock:
            if self._own.says_anything:
                self._judge_by_handlers(kind, sender, size)
            elif not self._is_due(kind, number_of(request, "state"), sender, size):
                return False
            self._waiting[sender] += 1
            self._waiting_bytes[sender] += size
        return True

    def _is_due(self, kind: str, number: int, sender: int, size: int) -> bool:
        asked = kind, number if kind != "join_in_info" else 0
        if kind not in self._unasked and asked not in self._asked[sender]:
            if asked in self._answered[sender]:
                return False
            what = f"client #{sender} was not asked for {kind[:20]!r} of round {number}"
            raise UnaskedMessageError(f"{what}; {SWITCH}", sender)
        if size > self._limit or self._waiting[sender] >= _MOST_WAITING:
            raise RefusedMessageError(
                f"{kind} of client #{sender} is larger than {self._limit} bytes, or one of too many; {SWITCH}", sender
            )
        self._asked[sender].discard(asked)
        self._answered[sender].append(asked)
        return True

    def _judge_by_handlers(self, kind: str, sender: int, size: int) -> None:
        server = self._server
        if not own_workers.has_handler(server, kind):
            what = f"{type(server).__name__} has no handler for {kind[:20]!r}, which client #{sender} sends"
            raise UnaskedMessageError(f"{what}: FederatedScope would end with a KeyError", sender)
        waiting = self._waiting[sender]
        if waiting >= _MOST_WAITING_OF_ITS_OWN or (waiting and self._waiting_bytes[sender] + size > self._limit):
            raise NotYetError(
                f"{waiting} messages of client #{sender} wait already, and may have {self._limit} bytes together "
                "(distribute.grpc_max_receive_message_length)"
            )

    def _accept_join(self, content: dict[str, Any], source: str) -> bool:
        self._door.check_join(content, source)
        address = f"{content['host']}:{content['port']}"
        with self._lock:
            if address not in self._joined and len(self._joined) >= self._clients:
                raise RefusedMessageError("the course is full")
            self._joined.add(address)
        return True

    def _note_and_send(self, message: Any) -> None:
        answer = None if self._own.says_anything else _ANSWERS.get(message.msg_type)
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
        if kind != "join_in":
            with self._lock:
                self._waiting[sender] -= 1
                self._waiting_bytes[sender] -= request.ByteSize()
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
        server, own, kind = self._server, self._own, message.msg_type
        if kind == "join_in_info" and own.counts_joins:
            check_info(message.content, list(server._cfg.federate.join_in_info))
        elif kind in ("metrics", "eval_metric") and own.merges:
            check_metrics(message.content, _known_metrics(server))
        elif kind == "feature_importance" and not own.says_anything:
            check_importance(message.content)
        elif kind == "model_para" and own.aggregates:
            message.content = read_update(server, message.content)
        else:
            _check_pickles(message.content)
        if kind == "model_para" and own.counts_updates:
            moment = message.timestamp
            if not isinstance(moment, int | float) or not math.isfinite(moment):
                raise UnusableAnswerError("its time stamp is not a number")
            # The server stops at a time stamp that lies before another client's.
            message.timestamp = max(moment, server.cur_timestamp)

    def _merge_like_results(self) -> Any:
        rounds = self._server.msg_buffer["eval"]
        results = rounds[max(rounds)]
        kept = like_most(results)
        for client in results.keys() - set(kept):
            logger.warning(
                f"Server: the results of client #{client} are left out: their names are not those that most clients "
                "have, and FederatedScope cannot merge them"
            )
        rounds[max(rounds)] = {client: results[client] for client in kept}
        return self._merge()


def guard_client(server_host: str, shared: PatchContext, is_between: Callable[[str], bool]) -> None:
    """Have a client take messages from the server only: others may send what they like, they do not lead it.

    ``is_between``: whether clients send each other messages of this kind, each from the address that the server names.
    """
    addresses = server_addresses(server_host)
    others: dict[int, str] = {}

    def accept(request: Any, source: str) -> bool:
        kind, sender = text_of(request, "msg_type"), number_of(request, "sender")
        if sender == SERVER_ID and source in addresses:
            if kind == "address":
                others.update(addresses_in(request))
            return True
        if not is_between(kind):
            raise RefusedMessageError(f"{kind[:20]!r} is not from the server")
        if not others:
            raise NotYetError("the server has not named the other clients yet")
        if sender not in others:
            raise RefusedMessageError(f"it speaks for client #{sender}, which is not in the course")
        check_source(f"client #{sender}", others[sender].rpartition(":")[0], source)
        return True

    shared.accept = accept


def kinds_between(client: Any) -> Callable[[str], bool]:
    """Which kinds of messages a client takes from other clients: those that trees need, and the user's own."""
    if client._cfg.vertical.use:
        return lambda kind: kind in BETWEEN_TREES
    # Handlers may be registered while it runs.
    return lambda kind: own_workers.has_handler(client, kind) and kind not in own_workers.KINDS_OF_CLIENTS


def _check_pickles(content: Any) -> None:
    try:
        check_texts(content)
    except TensorError as error:
        raise UnusableAnswerError(f"{error}; {SWITCH}") from error


def _known_metrics(server: Any) -> frozenset[str]:
    """Names of results that the configuration asks for, and of the metrics that the user's code brings."""
    tree = server._cfg.eval
    brought = getattr(getattr(server._monitor, "metric_calculator", None), "eval_metric", ())
    return frozenset(f"{split}_{metric}" for split in tree.split for metric in (*tree.metrics, *brought))


def _do_nothing(message: Any) -> bool:
    """Handle a message that was dropped: the course does not move on."""
    return False
