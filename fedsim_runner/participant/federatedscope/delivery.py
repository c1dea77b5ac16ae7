"""Delivery of one message to one peer: retried until a deadline, encoded once for all receivers."""

from __future__ import annotations

import threading
import time
from functools import cached_property
from typing import Any

import grpc

from ..absences import JOINING
from ..marks import Marks
from ..patience import SEND_DEADLINE_S, connect_s, connecting_options
from .patch_context import PatchContext, peer_of

METHOD = "/gRPCComServeFunc/sendMessage"
# How long connecting to a peer may take at least, as by gRPC's own default; on a slow link it takes longer.
CONNECT_S = 20.0
# How long a message to a peer that was reachable before is retried.
RETRY_S = 20.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 2.0
# How often it is looked whether a peer that is offline is back.
OFFLINE_S = 0.2
# Retrying does not help: the peer will not accept this message.
REFUSALS = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.PERMISSION_DENIED)  # fmt: skip


class Outgoing:
    """A message being sent. FederatedScope's own ``_send`` also accepts it as a message."""

    def __init__(self, message: Any) -> None:
        self.msg_type = str(message.msg_type)
        self.state = int(message.state)
        self._request = message.transform(to_list=True)

    def transform(self, to_list: bool = False) -> Any:
        """The encoded message, as FederatedScope's ``Message`` returns it."""
        return self._request

    @cached_property
    def data(self) -> bytes:
        """The bytes for gRPC."""
        return bytes(self._request.SerializeToString())


class Delivery:
    """Channels to peers, kept between messages, and the delivery of messages over them."""

    def __init__(self, shared: PatchContext) -> None:
        self._shared = shared
        self._lock = threading.Lock()
        self._channels: dict[str, grpc.Channel] = {}
        self._forgotten: dict[str, threading.Event] = {}
        self._marks = Marks()
        shared.forget.append(self._forget)
        shared.renew.append(self._renew)

    def deliver(self, communication: Any, address: str, message: Any, retry_s: float) -> None:
        """Deliver ``message`` (FederatedScope's, or an :class:`Outgoing`) to ``address``; blocks until it has arrived.

        A peer that cannot be reached for ``retry_s``, or for as long as events may keep it out of reach, or that
        refuses the message, is passed to ``shared.unreachable``.
        Nothing is sent, or noted as sent, to a peer that has been given up.
        """
        outgoing = message if isinstance(message, Outgoing) else Outgoing(message)
        peer = peer_of(communication, address)
        note = self._shared.activity.note
        fields: dict[str, Any] = {"kind": outgoing.msg_type, "round": outgoing.state, "peer": peer}
        fields["size"] = len(outgoing.data)
        with self._lock:  # so that no send is noted after the loss of its peer
            gone = self._gone(address)
            if gone.is_set():
                return
            note("send", **fields)
        reason = self._try(communication, address, outgoing, retry_s, gone)
        note("send_failed" if reason else "sent", **fields)
        if reason and not gone.is_set():
            self._shared.unreachable(
                peer, outgoing.msg_type, f"{outgoing.msg_type} could not be sent to {address}: {reason}"
            )

    def _try(
        self, communication: Any, address: str, outgoing: Outgoing, retry_s: float, gone: threading.Event
    ) -> str | None:
        """Try to send; return None once the message has arrived, otherwise why it has not."""
        metadata = self._marks.next()
        pause_s, failing_since = FIRST_PAUSE_S, None
        scale = self._shared.scale
        retry_s = max(connect_s(retry_s, self._shared.answer_s, scale), self._shared.parted_s)
        cut = None if outgoing.msg_type in JOINING else self._shared.cut
        while not gone.is_set():
            if cut is not None and cut.is_cut(address):
                failing_since = None
                gone.wait(OFFLINE_S)
                continue
            cuts = 0 if cut is None else cut.count(address)
            try:
                call = self._channel(communication, address).unary_unary(METHOD)
                call(outgoing.data, timeout=scale.to_wall(SEND_DEADLINE_S), metadata=metadata)
                return None
            except ValueError:  # the channel was closed: the peer is forgotten, or offline
                if cut is None or cut.count(address) == cuts:
                    break
                continue
            except grpc.RpcError as error:
                code, details = error.code(), " ".join(str(error.details()).split())
            if cut is not None and cut.count(address) != cuts:
                continue
            if code in REFUSALS:
                return f"{code.name}: {details}"
            now = time.monotonic()
            failing_since = failing_since or now
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                return f"it was not taken within {SEND_DEADLINE_S:g} s"
            if now - failing_since >= retry_s:
                return f"tried for {scale.describe(retry_s)}: {code.name}: {details}"
            gone.wait(scale.to_wall(pause_s))
            pause_s = min(LONGEST_PAUSE_S, pause_s * 1.5)
        return "the peer was given up"

    def _channel(self, communication: Any, address: str) -> grpc.Channel:
        with self._lock:
            if address not in self._channels:
                self._channels[address] = grpc.insecure_channel(
                    address,
                    compression=communication.comp_method,
                    options=[
                        ("grpc.enable_http_proxy", 0),
                        ("grpc.max_send_message_length", -1),  # as upstream: only the receiver has a limit
                        *connecting_options(CONNECT_S, self._shared.answer_s, self._shared.scale),
                    ],
                )
            return self._channels[address]

    def disconnect(self, address: str) -> None:
        """End the connection to a peer, and with it the attempts under way: the next one makes another."""
        with self._lock:
            channel = self._channels.pop(address, None)
        if channel is not None:
            channel.close()

    def _gone(self, address: str) -> threading.Event:
        return self._forgotten.setdefault(address, threading.Event())  # atomic: both halves are built in

    def _forget(self, address: str) -> None:
        with self._lock:
            self._gone(address).set()
            channel = self._channels.get(address)
        if channel is not None:
            channel.close()

    def _renew(self, address: str) -> None:
        """End what is on its way to a peer, which was started anew and knows nothing of it; go on with what is next."""
        with self._lock:
            if self._gone(address).is_set():
                return
            self._gone(address).set()
            self._forgotten[address] = threading.Event()
        self.disconnect(address)
