"""blocked_broadcast: one stalled client holds up the server's messages to all others.

``gRPCCommManager.send`` sends to one receiver after the other and waits for each. Here every peer has its own queue
and thread, which keeps the order of its messages, and a message is encoded once, not once for each receiver.
"""

from __future__ import annotations

import importlib
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from fedsim_runner.participant.process_end import ENDING

from ..delivery import Outgoing
from ..patch_context import PatchContext
from ..upstream import Place

MODULE = "federatedscope.core.communication"
PLACES = (
    Place(MODULE, "gRPCCommManager.send", ("self", "message"), ("receiver", "neighbors", "_send")),
    Place(MODULE, "gRPCCommManager._send", ("self", "receiver_address", "message"), ("transform",)),
    Place("federatedscope.core.message", "Message.transform", ("self", "to_list")),
)
POLL_S = 0.25


class Lanes:
    """A queue and a thread for each address."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queues: dict[str, deque[Callable[[], None]]] = {}
        self._busy: set[str] = set()

    def put(self, address: str, task: Callable[[], None]) -> None:
        """Do ``task`` after all earlier ones of this address."""
        with self._changed:
            if address not in self._queues:
                self._queues[address] = deque()
                threading.Thread(target=self._work, args=(address,), name=f"to {address}", daemon=True).start()
            self._queues[address].append(task)
            self._changed.notify_all()

    def forget(self, address: str) -> None:
        """Drop what waits for an address; a running task is left alone, and no longer waited for."""
        with self._changed:
            self._queues.get(address, deque()).clear()
            self._busy.discard(address)
            self._changed.notify_all()

    def drop(self, address: str) -> None:
        """Drop what waits for an address; what comes later is done after a task that runs."""
        with self._changed:
            self._queues.get(address, deque()).clear()
            self._changed.notify_all()

    def flush(self, poll: Callable[[], None]) -> None:
        """Wait until nothing is left to do; ``poll`` is called in between."""
        while True:
            poll()
            with self._changed:
                if self._changed.wait_for(self._is_idle, POLL_S):
                    return

    def _is_idle(self) -> bool:
        return not self._busy and not any(self._queues.values())

    def _work(self, address: str) -> None:
        queue = self._queues[address]
        while True:
            with self._changed:
                self._busy.discard(address)
                self._changed.notify_all()
                self._changed.wait_for(lambda: len(queue) > 0)
                task = queue.popleft()
                self._busy.add(address)
            try:
                task()
            except Exception as error:
                ENDING.give_up(f"{address}: cannot be sent to: {type(error).__name__}: {error}")


def apply(shared: PatchContext) -> None:
    """Send to all receivers in parallel."""
    manager = importlib.import_module(MODULE).gRPCCommManager
    lanes = Lanes()
    shared.forget.append(lanes.forget)
    shared.renew.append(lanes.drop)
    shared.flush.append(lanes.flush)

    def send(self: Any, message: Any) -> None:
        receivers = message.receiver
        if receivers is None:
            receivers = list(self.neighbors)
        elif not isinstance(receivers, list):
            receivers = [receivers]
        addresses = [self.neighbors[receiver] for receiver in receivers if receiver in self.neighbors]
        if not addresses:
            return
        outgoing = Outgoing(message)  # encoded now: the model keeps changing
        for address in addresses:
            lanes.put(address, partial(self._send, address, outgoing))

    manager.send = send
