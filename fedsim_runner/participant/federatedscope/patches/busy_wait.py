"""busy_wait: a participant that waits for a message burns a whole core.

``gRPCComServeFunc.receive`` keeps asking whether its queue is empty. Here it sleeps until the thread that adds a
message wakes it.
"""

from __future__ import annotations

import importlib
import threading
from typing import Any

from ..upstream import Place

MODULE = "federatedscope.core.gRPC_server"
PLACES = (
    Place(MODULE, "gRPCComServeFunc.__init__", ("self",), ("msg_queue", "deque")),
    Place(MODULE, "gRPCComServeFunc.sendMessage", ("self", "request", "context"), ("msg_queue", "append")),
    Place(MODULE, "gRPCComServeFunc.receive", ("self",), ("msg_queue", "popleft")),
)


def apply() -> None:
    """Wait for messages without using the processor."""
    inbox = importlib.import_module(MODULE).gRPCComServeFunc
    begin, put, take = inbox.__init__, inbox.sendMessage, inbox.receive

    def begin_with_arrival(self: Any) -> None:
        self.arrival = threading.Condition()
        begin(self)

    def send_message(self: Any, request: Any, context: Any) -> Any:
        answer = put(self, request, context)
        with self.arrival:
            self.arrival.notify_all()
        return answer

    def wait_for_message(self: Any, timeout: float | None = None) -> bool:
        with self.arrival:
            return bool(self.arrival.wait_for(lambda: len(self.msg_queue) > 0, timeout))

    def receive(self: Any) -> Any:
        self.wait_for_message()
        return take(self)

    inbox.__init__ = begin_with_arrival
    inbox.sendMessage = send_message
    inbox.wait_for_message = wait_for_message
    inbox.receive = receive
