"""Receives messages over gRPC: each once, and from each sender so many at a time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc

from ..exit_errors import ParticipantError
from ..marks import Seen
from ..patience import WITHOUT_PINGS
from ..senders import Refusals, RefusedMessageError, UnaskedMessageError, source_of
from . import wire
from .run_log import logger
from .wire import Message

INBOX_THREADS = 4
# Messages of one sender that wait to be processed: none that keeps to the protocol has more than a few.
MOST_WAITING = 1000


@dataclass(frozen=True)
class Arrived:
    """A message that has arrived; ``size`` in bytes, ``source`` the address it comes from."""

    content: Message
    size: int
    source: str


class Listener:
    """Listens on one address.

    Args:
        accept: called by a thread of gRPC with each message and the address it comes from: whether to take it, or to
            acknowledge it only. A RefusedMessageError is answered to the sender.
        take: called by a thread of gRPC with each message that is taken.
        limit_bytes: the largest message that is taken.

    Raises:
        ParticipantError: it cannot listen.
    """

    def __init__(
        self,
        host: str,
        port: int,
        accept: Callable[[Message, str], bool],
        take: Callable[[Arrived], None],
        limit_bytes: int,
    ) -> None:
        self._accept = accept
        self._take = take
        self._limit_bytes = limit_bytes
        self._refused = Refusals(logger.warning)
        self._seen = Seen()
        self._lock = threading.Lock()
        self._waiting: Counter[tuple[str, int]] = Counter()  # messages by source and sender
        self._waiting_bytes: Counter[tuple[str, int]] = Counter()
        self._method = grpc.unary_unary_rpc_method_handler(self._receive)
        self._server = grpc.server(
            ThreadPoolExecutor(INBOX_THREADS),
            # Without this a second process could bind the same port and steal messages silently.
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", limit_bytes), *WITHOUT_PINGS],
        )
        self._server.add_generic_rpc_handlers((self,))  # a grpc.GenericRpcHandler by its one method
        address = f"{host}:{port}"
        try:
            bound = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise ParticipantError(f"cannot listen on {address}: {error}") from error
        if bound == 0:
            raise ParticipantError(f"cannot listen on {address}: does the name resolve, and is the port free?")
        self._server.start()

    def service(self, details: Any) -> Any:
        """Called by gRPC: what handles a call."""
        return self._method if details.method == wire.METHOD else None

    def release(self, arrived: Arrived) -> None:
        """Note that a message is being processed, and no longer waits."""
        key = arrived.source, arrived.content.sender
        with self._lock:
            self._waiting[key] -= 1
            self._waiting_bytes[key] -= arrived.size
            if not self._waiting[key]:
                del self._waiting[key], self._waiting_bytes[key]

    def close(self) -> None:
        """Stop listening once pending answers are sent."""
        self._server.stop(grace=1).wait(2)

    def _receive(self, data: bytes, context: Any) -> bytes:
        source = source_of(context.peer())
        try:
            message = wire.decode(data)
            if self._accept(message, source) and self._seen.is_new(context.invocation_metadata()):
                self._put(Arrived(message, len(data), source))
        except UnaskedMessageError as error:
            self._refused.add(source, str(error))
        except RefusedMessageError as error:
            self._refused.add(source, str(error))
            context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
        except ValueError as error:
            self._refused.add(source, str(error))
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a FederatedScope message")
        return wire.encode_acknowledgement()

    def _put(self, arrived: Arrived) -> None:
        key = arrived.source, arrived.content.sender
        with self._lock:
            if self._waiting[key] >= MOST_WAITING or self._waiting_bytes[key] >= 4 * self._limit_bytes:
                raise RefusedMessageError("too many messages of this sender wait already")
            self._waiting[key] += 1
            self._waiting_bytes[key] += arrived.size
        self._take(arrived)
