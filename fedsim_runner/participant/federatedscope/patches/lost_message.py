"""lost_message: a message that cannot be sent at the first attempt is dropped and the course hangs.

``gRPCCommManager._send`` tries once and logs a warning. Here a message is retried for a while; if that does not
help, the participant ends with the reason, or the server gives that client up (course.on_client_failure: continue).
And gRPC's server no longer ends a connection on which a slow link keeps answers away for long.
"""

from __future__ import annotations

import importlib
from typing import Any

from fedsim_runner.participant.marks import Seen
from fedsim_runner.participant.patience import WITHOUT_PINGS

from ..delivery import RETRY_S, Delivery
from ..upstream import Place
from .lost_join import JOIN, MODULE

INBOX = "federatedscope.core.gRPC_server"
PLACES = (
    Place(MODULE, "gRPCCommManager._send", ("self", "receiver_address", "message"), ("comp_method", "transform")),
    Place(MODULE, "gRPCCommManager.serve", ("self", "max_workers", "host", "port", "options"), ("add_insecure_port",)),
    Place(INBOX, "gRPCComServeFunc.sendMessage", ("self", "request", "context"), ("MessageResponse", "ACK")),
)


def apply(delivery: Delivery) -> None:
    """Send until the peer has the message, and accept it once."""
    manager = importlib.import_module(MODULE).gRPCCommManager
    inbox = importlib.import_module(INBOX)
    send, put, listen = manager._send, inbox.gRPCComServeFunc.sendMessage, manager.serve
    seen = Seen()

    def _send(self: Any, receiver_address: str, message: Any) -> None:
        if message.msg_type == JOIN:
            send(self, receiver_address, message)
        else:
            delivery.deliver(self, receiver_address, message, RETRY_S)

    def take_once(self: Any, request: Any, context: Any) -> Any:
        if not seen.is_new(context.invocation_metadata()):
            return inbox.gRPC_comm_manager_pb2.MessageResponse(msg="ACK")
        return put(self, request, context)

    def serve(self: Any, max_workers: int, host: str, port: Any, options: Any) -> Any:
        return listen(self, max_workers, host, port, [*options, *WITHOUT_PINGS])

    manager._send = _send
    manager.serve = serve
    inbox.gRPCComServeFunc.sendMessage = take_once
