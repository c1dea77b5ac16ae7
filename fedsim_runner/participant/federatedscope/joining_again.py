"""A client of FederatedScope that was started anew during a course, and asks its server to join.

FederatedScope's server gives whoever asks the next free id, which the rest of it does not know. Here a client whose
address has joined before gets its own id again. What the server had asked of it, its earlier process took with it:
nobody waits for that, and the client takes part again from the next request on.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from typing import Any

from .patch_context import PatchContext

JOIN = "join_in"

logger = logging.getLogger("federatedscope.core.workers.server")


class JoinsAgain:
    """Answers such joins; replaces the server's handler of joins.

    Args:
        server: has not started to run.
        shared: what its messages are sent with.
        forgive: has the server wait no longer for what it has asked of a client; returns whether the course moves on.
    """

    def __init__(self, server: Any, shared: PatchContext, forgive: Callable[[int], bool]) -> None:
        self._server = server
        self._shared = shared
        self._forgive = forgive
        self._join = server.msg_handlers[JOIN]
        server.register_handlers(JOIN, self._take, ["assign_client_id", "ask_for_join_in_info"])

    def _take(self, message: Any) -> Any:
        address = f"{message.content['host']}:{message.content['port']}"
        neighbors = self._server.comm_manager.neighbors
        client = next((int(one) for one, known in neighbors.items() if known == address), None)
        if client is None:
            return self._join(message)
        logger.info(f"Server: Client #{client} ({address}) joins again")
        for renew in self._shared.renew:
            renew(address)
        self._send(client, "assign_client_id", str(client))
        wanted = self._server._cfg.federate.join_in_info
        if len(wanted) > 0 and client not in self._server.join_in_info:
            self._send(client, "ask_for_join_in_info", wanted.copy())
        return self._forgive(client)

    def _send(self, client: int, kind: str, content: Any) -> None:
        server = self._server
        message = importlib.import_module("federatedscope.core.message").Message(
            msg_type=kind,
            sender=server.ID,
            receiver=[client],
            state=server.state,
            timestamp=server.cur_timestamp,
            content=content,
        )
        server.comm_manager.send(message)
