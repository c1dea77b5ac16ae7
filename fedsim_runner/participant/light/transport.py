"""Messages over gRPC: an inbox that costs nothing while it is empty, and an outbox that retries with a deadline."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor
from concurrent.futures import wait as futures_wait
from dataclasses import dataclass
from typing import Any

import grpc

from ..errors import ParticipantError
from . import wire
from .logs import logger
from .wire import Message

# A slow link may need minutes for one model; a peer that is gone is the supervisor's to find. This is the last resort.
SEND_DEADLINE_S = 900.0
# A peer that refuses connections after it has once answered is given this long to come back.
RETRY_S = 20.0
# How long a client waits for a server that does not listen yet.
JOIN_DEADLINE_S = 300.0
# Waiting for a peer is said once; not more often, as the supervisor takes each line for news of life.
WAIT_NOTE_S = 30.0
# Who waits looks this often whether those waited for still accept connections: a peer that was killed sends nothing.
PROBE_S = 10.0
# No participant knows this method: the answer UNIMPLEMENTED, from either engine, says that somebody listens.
_PROBE_METHOD = "/fedsim.participant/probe"
INBOX_THREADS = 4
OUTBOX_THREADS = 8
# FederatedScope's default for what a participant accepts (distribute.grpc_max_receive_message_length).
LIMIT_BYTES = 300 * 1024 * 1024
_CHANNEL_OPTIONS = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_send_message_length", LIMIT_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
]


@dataclass(frozen=True)
class _Arrived:
    content: Message
    size: int


@dataclass(frozen=True)
class _Refusal:
    since: float
    details: str


class Transport:
    """Receives on one address and sends to peers by their id."""

    def __init__(self, host: str, port: int) -> None:
        self._inbox: queue.SimpleQueue[_Arrived] = queue.SimpleQueue()
        self._counting = threading.Lock()
        self.sent_bytes = 0  # of messages, without what gRPC and TCP add
        self.received_bytes = 0
        self._channels: dict[int, grpc.Channel] = {}
        self._addresses: dict[int, str] = {}
        self._refusals: dict[int, _Refusal] = {}  # written by gRPC's threads, one entry at a time
        self._probing: set[int] = set()
        self._senders: ThreadPoolExecutor | None = None
        self._server = grpc.server(
            ThreadPoolExecutor(INBOX_THREADS),
            # Without this a second process could bind the same port and steal messages silently.
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", LIMIT_BYTES)],
        )
        self._server.add_generic_rpc_handlers((_Handler(self._inbox),))
        address = f"{host}:{port}"
        try:
            bound = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise ParticipantError(f"cannot listen on {address}: {error}") from error
        if bound == 0:
            raise ParticipantError(f"cannot listen on {address}: is the name known and the port free?")
        self._server.start()

    @property
    def peers(self) -> list[int]:
        """Ids of all known peers, in the order in which they became known."""
        return list(self._addresses)

    def names(self, peers: Sequence[int]) -> str:
        """Peers with their addresses, for messages to people."""
        return ", ".join(f"{f'client #{peer}' if peer else 'the server'} ({self._addresses[peer]})" for peer in peers)

    def add_peer(self, peer: int, address: str) -> None:
        """Make a peer's address known."""
        self._addresses[peer] = address
        self._channels[peer] = grpc.insecure_channel(address, options=_CHANNEL_OPTIONS)

    def receive(self, timeout_s: float | None = None) -> Message | None:
        """The next message; None after ``timeout_s`` seconds without one. Waiting uses no CPU."""
        try:
            message = self._inbox.get(timeout=timeout_s)
        except queue.Empty:
            return None
        with self._counting:
            self.received_bytes += message.size
        self._refusals.pop(message.content.sender, None)
        return message.content

    def wait(self, peers: Collection[int], note: Callable[[], str]) -> Message:
        """The next message, however long it takes while ``peers`` are there; what is waited for is logged once.

        Raises:
            ParticipantError: one of ``peers`` has refused connections for ``RETRY_S``; the text names it.
        """
        began, noted = time.monotonic(), False
        while True:
            message = self.receive(min(PROBE_S, RETRY_S / 4) if self._refusals else PROBE_S)
            if message is not None:
                return message
            if not noted and time.monotonic() - began >= WAIT_NOTE_S:
                logger.info(note())
                noted = True
            for peer in peers:
                refusal = self._refusals.get(peer)
                if refusal is not None and time.monotonic() - refusal.since >= RETRY_S:
                    raise ParticipantError(f"{self.names([peer])} is gone: {refusal.details}")
                self._probe(peer)

    def _probe(self, peer: int) -> None:
        """Ask without waiting for the answer: a slow peer must not hold up the messages of the others."""
        if peer in self._probing:
            return
        self._probing.add(peer)
        method: Any = self._channels[peer].unary_unary(_PROBE_METHOD, lambda sent: sent, lambda received: received)
        method.future(b"", timeout=PROBE_S).add_done_callback(lambda call: self._probed(peer, call))

    def _probed(self, peer: int, call: Any) -> None:
        # A peer that is only slow, or stopped, has its connection still: the deadline passes, and that says nothing.
        if call.code() is grpc.StatusCode.UNAVAILABLE:
            self._refusals.setdefault(peer, _Refusal(time.monotonic(), call.details()))
        else:
            self._refusals.pop(peer, None)
        self._probing.discard(peer)

    def send(self, message: Message, first_contact: bool = False) -> None:
        """Send to every receiver of the message, to several at once, and wait until all have it.

        Args:
            first_contact: the peer may not be listening yet: wait for it, up to the deadline.

        Raises:
            ParticipantError: a receiver did not take the message; the text names it.
        """
        data = wire.encode(message)
        if len(message.receiver) == 1:
            self._send(message.receiver[0], message.msg_type, data, first_contact)
            return
        if self._senders is None:
            self._senders = ThreadPoolExecutor(OUTBOX_THREADS)
        # One stalled peer must not keep the others waiting, as upstream's one-after-another does.
        futures = [self._senders.submit(self._send, peer, message.msg_type, data, False) for peer in message.receiver]
        done, pending = futures_wait(futures, return_when=FIRST_EXCEPTION)
        failures = [error for future in done if (error := future.exception()) is not None]
        if failures:
            futures_wait(pending, RETRY_S)  # the others get the message as well, unless they are stuck
            raise failures[0]

    def close(self) -> None:
        """Stop listening once pending answers are out."""
        self._server.stop(grace=1).wait(2)
        for channel in self._channels.values():
            channel.close()

    def _send(self, peer: int, kind: str, data: bytes, first_contact: bool) -> None:
        call: Any = self._channels[peer].unary_unary(wire.METHOD, lambda sent: sent, lambda received: received)
        give_up: float | None = None
        while True:
            try:
                call(data, timeout=JOIN_DEADLINE_S if first_contact else SEND_DEADLINE_S, wait_for_ready=first_contact)
                with self._counting:
                    self.sent_bytes += len(data)
                return
            except grpc.RpcError as error:
                code = error.code()
                if code is not grpc.StatusCode.UNAVAILABLE or (give_up is not None and time.monotonic() > give_up):
                    reason = f"{code.name}: {error.details()}"
                    raise ParticipantError(f"{kind} to {self.names([peer])} failed: {reason}") from error
            if give_up is None:  # the time counts from the first refusal: the call may have lasted long
                give_up = time.monotonic() + RETRY_S
                logger.warning(f"{self.names([peer])} does not answer, trying again")
            time.sleep(0.5)


class _Handler:
    """Takes messages off the wire into the inbox: a ``grpc.GenericRpcHandler`` by its one method."""

    def __init__(self, inbox: queue.SimpleQueue[_Arrived]) -> None:
        self._inbox = inbox
        self._method = grpc.unary_unary_rpc_method_handler(self._take)

    def service(self, details: Any) -> Any:
        return self._method if details.method == wire.METHOD else None

    def _take(self, data: bytes, context: Any) -> bytes:
        try:
            self._inbox.put(_Arrived(wire.decode(data), len(data)))
        except ValueError as error:
            logger.warning(f"a message from {context.peer()} is dropped: {error}")
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a FederatedScope message")
        return wire.encode_acknowledgement()
