"""second_finish: the server sends finish twice, and both sides may hang while shutting down.

``Server.check_and_save`` ends the course, and ``Server.run`` does so again after its loop. A client that gets the
second ``finish`` while its interpreter shuts down never answers it.

The course has ended when its end has been said, not when the server begins to: if something interrupts that, it is said
in full at the next occasion.
"""

from __future__ import annotations

import importlib
from typing import Any

from ..upstream import Place

MODULE = "federatedscope.core.workers.server"
PLACES = (
    Place(MODULE, "Server.run", ("self",), ("terminate",)),
    Place(MODULE, "Server.terminate", ("self", "msg_type"), ("comm_manager", "send")),
)


def apply() -> None:
    """End a course once."""
    server = importlib.import_module(MODULE).Server
    terminate = server.terminate

    def terminate_once(self: Any, msg_type: str = "finish") -> Any:
        if getattr(self, "is_terminated", False):
            return None
        answer = terminate(self, msg_type)
        self.is_terminated = True
        return answer

    server.terminate = terminate_once
