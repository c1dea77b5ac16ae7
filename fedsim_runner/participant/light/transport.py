"""Messages over gRPC: an inbox that costs nothing while it is empty, and an outbox that retries until a deadline.

To a peer that is offline nothing is sent, but for what belongs to joining; what waits for it is sent once it is back,
over a new connection.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from fedsim_runner.contract.time_scale import REAL_TIME, TimeScale

from ..absences import JOINING
from ..activity import Activity, Step
from ..exit_errors import ParticipantError
from ..marks import Marks
from ..patience import JOIN_DEADLINE_S, SEND_DEADLINE_S, connect_s, connecting_options
from . import wire
from .listener import Arrived, Listener
from .run_log import logger
from .wire import SERVER, Message

# A peer that refuses connections after it has once answered is given this long to come back.
RETRY_S = 20.0
# How long connecting to a peer may take at least; on a slow link it takes longer.
CONNECT_S = 2.0
# Waiting for a peer is logged once; not more often, as the supervisor counts each line as a sign of life.
WAIT_NOTE_S = 30.0
# How often a waiting participant checks that its peers still accept connections: a killed peer sends nothing.
PROBE_S = 10.0
# No participant knows this method: the answer UNIMPLEMENTED, from either engine, shows that the peer listens.
_PROBE_METHOD = "/fedsim.participant/probe"
# A refused message is sent again after this time.
AGAIN_S = 0.5
# The poll callback is called this often.
POLL_S = 0.4
# FederatedScope's default for what a participant accepts (distribute.grpc_max_receive_message_length).
LIMIT_BYTES = 300 * 1024 * 1024
_CHANNEL_OPTIONS = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_send_message_length", LIMIT_BYTES),
]


@dataclass(eq=False)
class _Outgoing:
    """A message on its way to one peer.

    ``mark``: of the call, the same in all attempts. ``begun``: its sending is recorded. ``give_up``: until when
    refused connections are retried.
    """

    kind: str
    round: int
    data: bytes
    first_contact: bool
    mark: tuple[tuple[str, str], ...]
    begun: bool = False
    give_up: float | None = None


@dataclass(frozen=True)
class _Sent:
    """The attempt ``call`` has ended; ``code`` None: the peer has the message."""

    peer: int
    outgoing: _Outgoing
    call: Any
    code: Any
    details: str


@dataclass(frozen=True)
class _Unwritable:
    """A thread of gRPC could not write an activity record."""

    error: OSError


@dataclass(frozen=True)
class _Refusal:
    since: float
    details: str


@dataclass
class _Peer:
    """``queue``: messages in order, the first of them being sent, or sent again at ``retry_at``; or none, while it is
    offline."""

    address: str
    channel: grpc.Channel
    queue: deque[_Outgoing] = field(default_factory=deque)
    call: Any = None
    retry_at: float | None = None
    is_offline: bool = False


def _raise(peer: int, reason: str) -> None:
    raise ParticipantError(reason)


class Transport:
    """Receives on one address and sends to peers by their id, to all in parallel: a stalled peer delays no other.

    Args:
        activity: records every message.
        on_failure: called in the waiting thread with a peer that does not accept a message or has ended, and the
            reason. By default a ParticipantError with the reason.
        poll: called at least every ``POLL_S`` seconds of waiting.
        accept: called by a thread of gRPC with each message and the address it comes from: whether to take it, or to
            acknowledge it only. A RefusedMessageError is answered to the sender.
        limit_bytes: the largest message that is taken.
        answer_s: seconds after which the slowest peer answers at the latest, because of its link.
        scale: what this module's times are by the clock, but for the polls.
        parted_s: for so long a peer may be out of reach, and is back then.
    """

    def __init__(
        self,
        host: str,
        port: int,
        activity: Activity,
        on_failure: Callable[[int, str], None] = _raise,
        poll: Callable[[], None] | None = None,
        accept: Callable[[Message, str], bool] = lambda message, source: True,
        limit_bytes: int = LIMIT_BYTES,
        answer_s: float = 0.0,
        scale: TimeScale = REAL_TIME,
        parted_s: float = 0.0,
    ) -> None:
        self._events: queue.SimpleQueue[Arrived | _Sent | _Unwritable] = queue.SimpleQueue()
        self._kept: deque[Arrived] = deque()  # arrived and not requested yet
        self._activity = activity
        self._on_failure = on_failure
        self._poll = poll
        self._channel_options = [*_CHANNEL_OPTIONS, *connecting_options(CONNECT_S, answer_s, scale)]
        self._wall_s = scale.to_wall
        self._patience_s = connect_s(0.0, answer_s)  # for what a peer with a usual link does at once
        self._retry_s = max(self._wall_s(RETRY_S), parted_s) + self._patience_s
        self._marks = Marks()
        self.sent_bytes = 0  # of messages, without the overhead of gRPC and TCP
        self.received_bytes = 0
        self._peers: dict[int, _Peer] = {}
        self._refusals: dict[int, _Refusal] = {}  # written by gRPC's threads, one entry at a time
        self._probing: set[int] = set()
        self._listener = Listener(host, port, accept, self._arrived, limit_bytes)

    @property
    def peers(self) -> list[int]:
        """Ids of all known peers, in the order in which they became known."""
        return list(self._peers)

    def names(self, peers: Sequence[int]) -> str:
        """Peers with their addresses, for messages to people."""
        return ", ".join(
            f"{f'client #{peer}' if peer else 'the server'} ({self._peers[peer].address})" for peer in peers
        )

    def add_peer(self, peer: int, address: str) -> None:
        """Make a peer's address known."""
        self._peers[peer] = _Peer(address, self._channel(address))

    def address(self, peer: int) -> str:
        """A peer's address."""
        return self._peers[peer].address

    def set_offline(self, peer: int, offline: bool) -> None:
        """Send nothing to a peer that is offline, and once it is back what has waited, over a new connection.

        TCP alone would try the old one again only after a time as long as the cut.
        """
        found = self._peers[peer]
        if found.is_offline == offline:
            return
        found.is_offline, found.retry_at = offline, None
        if found.call is not None:
            found.call.cancel()
            found.call = None
        if offline:
            return
        found.channel.close()
        found.channel = self._channel(found.address)
        self._refusals.pop(peer, None)
        if found.queue:
            found.queue[0].give_up = None
        self._start_next(peer)

    def drop_peer(self, peer: int) -> None:
        """Forget a peer and the messages that it has not received yet."""
        dropped = self._peers.pop(peer)
        self._refusals.pop(peer, None)
        if dropped.call is not None:
            dropped.call.cancel()
        dropped.channel.close()

    def wait(self, peers: Collection[int], note: Callable[[], str]) -> Message:
        """Wait for the next message as long as ``peers`` are reachable; ``note`` is logged once.

        Raises:
            ParticipantError: one of ``peers`` could not be connected to for ``RETRY_S``, or longer; the text names it.
        """
        message = None
        while message is None:
            message = self.wait_until(peers, note)
        return message

    def wait_until(
        self,
        peers: Collection[int],
        note: Callable[[], str],
        enough: Callable[[], bool] = lambda: False,
        until: float | None = None,
    ) -> Message | None:
        """As :meth:`wait`; None once ``enough`` holds, or at ``until`` on the monotonic clock. Waiting costs no CPU."""
        began, noted = time.monotonic(), False
        probed = began
        while True:
            if self._poll is not None:
                self._poll()
            if enough():
                return None
            if self._kept:
                return self._take_kept()
            now = time.monotonic()
            if until is not None and now >= until:
                return None
            probe_at = probed + self._wall_s(min(PROBE_S, RETRY_S / 4) if self._refusals else PROBE_S)
            if now >= probe_at:
                probed = now
                self._check(peers)
                continue
            if not noted and now - began >= self._wall_s(WAIT_NOTE_S):
                logger.info(note())
                noted = True
            self._step(min(probe_at, now + POLL_S if self._poll else probe_at, until or probe_at) - now)

    def waiting(self) -> list[Message]:
        """Messages that have arrived and were not requested yet."""
        while self._step(0):
            pass
        return [arrived.content for arrived in self._kept]

    def post(self, message: Message, first_contact: bool = False) -> None:
        """Start to send to every receiver of the message; messages to one peer keep their order.

        Args:
            first_contact: the peer may not be listening yet: wait for it, up to the deadline.
        """
        data = wire.encode(message)
        for peer in message.receiver:
            outbox = self._peers[peer].queue
            outbox.append(_Outgoing(message.msg_type, message.state, data, first_contact, self._marks.next()))
            if self._peers[peer].is_offline and message.msg_type in JOINING:
                # It has just been heard of, as it joins again: this comes before what waits for it.
                outbox.insert(0 if self._peers[peer].call is None else 1, outbox.pop())
            self._start_next(peer)

    def has_arrived(self, kind: str) -> bool:
        """Whether a message of this kind has arrived and was not requested yet."""
        return any(arrived.content.msg_type == kind for arrived in self._kept)

    def flush(self, to_offline: bool = True, enough: Callable[[], bool] = lambda: False) -> None:
        """Wait until every peer has received its messages, or was dropped, or until ``enough`` holds.

        Args:
            to_offline: also those that are offline now.
        """

        def is_open(peer: _Peer) -> bool:
            return bool(peer.queue) and (to_offline or not peer.is_offline)

        while any(map(is_open, self._peers.values())) and not enough():
            if self._poll is not None:
                self._poll()
            self._step(POLL_S if self._poll else self._wall_s(PROBE_S))

    def send(self, message: Message, first_contact: bool = False) -> None:
        """Post, and wait until all receivers have it.

        Raises:
            ParticipantError: a receiver did not accept the message; the text names it.
        """
        self.post(message, first_contact)
        self.flush()

    def close(self) -> None:
        """Stop listening once pending answers are sent."""
        self._listener.close()
        for peer in self._peers.values():
            peer.channel.close()

    def _step(self, timeout_s: float) -> bool:
        """Process one event, waiting up to ``timeout_s`` seconds for it; return whether there was one."""
        now = time.monotonic()
        due = [(peer.retry_at, number) for number, peer in self._peers.items() if peer.retry_at is not None]
        for at, number in due:
            if at <= now:
                self._start(number)
            else:
                timeout_s = min(timeout_s, at - now)
        try:
            event = self._events.get(timeout=timeout_s) if timeout_s > 0 else self._events.get_nowait()
        except queue.Empty:
            return False
        if isinstance(event, _Unwritable):
            raise event.error
        if isinstance(event, _Sent):
            self._ended(event)
            return True
        self.received_bytes += event.size
        self._refusals.pop(event.content.sender, None)
        self._kept.append(event)
        return True

    def _channel(self, address: str) -> grpc.Channel:
        return grpc.insecure_channel(address, options=self._channel_options)

    def _arrived(self, arrived: Arrived) -> None:
        """Called by a gRPC thread: a message is complete."""
        message = arrived.content
        self._note("received", message.msg_type, message.state, message.sender, arrived.size)
        self._events.put(arrived)

    def _take_kept(self) -> Message:
        taken = self._kept.popleft()
        self._listener.release(taken)
        return taken.content

    def _start_next(self, number: int) -> None:
        """Send what is next for a peer, if anything may be sent to it and nothing is under way."""
        peer = self._peers[number]
        if not peer.queue or peer.call is not None:
            return
        if not peer.is_offline or peer.queue[0].kind in JOINING:
            self._start(number)
        elif number == SERVER:
            self._begin(number)  # a client's answer is on its way from now on; the wait is part of that

    def _start(self, number: int) -> None:
        """Send the first message of a peer's queue."""
        peer = self._peers[number]
        outgoing = peer.queue[0]
        peer.retry_at = None
        self._begin(number)
        method: Any = peer.channel.unary_unary(wire.METHOD, lambda sent: sent, lambda received: received)
        joining_s = self._wall_s(JOIN_DEADLINE_S) + self._patience_s
        deadline = joining_s if outgoing.first_contact else self._wall_s(SEND_DEADLINE_S)
        peer.call = method.future(
            outgoing.data, timeout=deadline, metadata=outgoing.mark, wait_for_ready=outgoing.first_contact
        )
        peer.call.add_done_callback(lambda call: self._attempted(number, outgoing, call))

    def _begin(self, number: int) -> None:
        """Record once that the first message of a peer's queue is sent."""
        outgoing = self._peers[number].queue[0]
        if not outgoing.begun:
            outgoing.begun = True
            self._note("send", outgoing.kind, outgoing.round, number, len(outgoing.data))

    def _attempted(self, peer: int, outgoing: _Outgoing, call: Any) -> None:
        """Called by a gRPC thread: an attempt has ended."""
        delivered = call.code() is grpc.StatusCode.OK
        if delivered:
            self._note("sent", outgoing.kind, outgoing.round, peer, len(outgoing.data))
        self._events.put(_Sent(peer, outgoing, call, None if delivered else call.code(), call.details() or ""))

    def _ended(self, event: _Sent) -> None:
        number, outgoing = event.peer, event.outgoing
        peer = self._peers.get(number)
        if peer is None or not peer.queue or peer.queue[0] is not outgoing:
            return  # dropped meanwhile
        if event.code is not None and event.call is not peer.call:
            return  # the peer went offline during this attempt
        if event.code is None:
            self.sent_bytes += len(outgoing.data)
        else:
            now = time.monotonic()
            if event.code is grpc.StatusCode.UNAVAILABLE and (outgoing.give_up is None or now <= outgoing.give_up):
                if outgoing.give_up is None:  # counted from the first refusal: the call may have lasted long
                    outgoing.give_up = now + self._retry_s
                    logger.warning(f"{self.names([number])} does not answer, trying again")
                peer.retry_at = now + self._wall_s(AGAIN_S)
                return
            self._note("send_failed", outgoing.kind, outgoing.round, number, len(outgoing.data))
            reason = f"{event.code.name}: {event.details}"
            self._on_failure(number, f"{outgoing.kind} to {self.names([number])} failed: {reason}")
            if number not in self._peers:
                return
        peer.queue.popleft()
        peer.call = None
        self._start_next(number)

    def _check(self, peers: Collection[int]) -> None:
        """Check whether the peers that are waited for still accept connections."""
        for peer in list(peers):
            if peer in self._peers and self._peers[peer].is_offline:
                continue
            refusal = self._refusals.get(peer)
            if refusal is not None and time.monotonic() - refusal.since >= self._retry_s:
                self._on_failure(peer, f"{self.names([peer])} is gone: {refusal.details}")
            elif peer in self._peers:
                self._probe(peer)

    def _probe(self, peer: int) -> None:
        """Probe without waiting for the answer: a slow peer must not delay the messages of the others."""
        if peer in self._probing:
            return
        self._probing.add(peer)
        method: Any = self._peers[peer].channel.unary_unary(_PROBE_METHOD, lambda sent: sent, lambda received: received)
        call = method.future(b"", timeout=self._wall_s(PROBE_S) + self._patience_s)
        call.add_done_callback(lambda call: self._probed(peer, call))

    def _probed(self, peer: int, call: Any) -> None:
        # A peer that is only slow, or stopped, still has its connection: that the deadline passes proves nothing.
        if call.code() is grpc.StatusCode.UNAVAILABLE:
            self._refusals.setdefault(peer, _Refusal(time.monotonic(), call.details()))
        else:
            self._refusals.pop(peer, None)
        self._probing.discard(peer)

    def _note(self, what: Step, kind: str, round: int, peer: int, size: int) -> None:
        """Record a step, from any thread; an OSError is raised in the waiting thread."""
        try:
            # A client that joins has no id yet.
            self._activity.note(what, kind=kind, round=round, peer=peer if peer >= 0 else None, size=size)
        except OSError as error:
            self._events.put(_Unwritable(error))
