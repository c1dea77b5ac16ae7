"""lost_join: a client that starts before its server never joins.

``gRPCCommManager._send`` tries once and logs a warning. Here a join is retried until the server listens, and
a client whose join came twice, because the answer to the first was lost, stays one client.
"""

from __future__ import annotations

import importlib
from typing import Any

from fedsim_runner.participant.patience import JOIN_DEADLINE_S

from ..delivery import Delivery
from ..upstream import Place

MODULE = "federatedscope.core.communication"
SERVER = "federatedscope.core.workers.server"
JOIN = "join_in"
PLACES = (
    Place(MODULE, "gRPCCommManager._send", ("self", "receiver_address", "message"), ("comp_method", "transform")),
    Place(
        SERVER, "Server.callback_funcs_for_join_in", ("self", "message"), ("add_neighbors", "assign_client_id", "info")
    ),
)


def apply(delivery: Delivery) -> None:
    """Retry a join until the server has received it."""
    manager = importlib.import_module(MODULE).gRPCCommManager
    server = importlib.import_module(SERVER).Server
    send, join = manager._send, server.callback_funcs_for_join_in

    def _send(self: Any, receiver_address: str, message: Any) -> None:
        if message.msg_type == JOIN:
            delivery.deliver(self, receiver_address, message, JOIN_DEADLINE_S)
        else:
            send(self, receiver_address, message)

    def join_once(self: Any, message: Any) -> Any:
        if message.msg_type == JOIN:
            address = f"{message.content['host']}:{message.content['port']}"
            if address in self.comm_manager.neighbors.values():
                return None
        return join(self, message)

    manager._send = _send
    server.callback_funcs_for_join_in = join_once
