"""The alarm of ``asyn.time_budget`` ends the server's waiting, and nothing else.

FederatedScope's alarm raises a TimeoutError wherever the server is at that moment: between aggregating a round and
counting it, while it chooses the clients of the next one, or in the middle of saying goodbye. Here it is raised where
the server waits for a message and has none: one that goes off at work is raised when the server waits again, unless
the round has ended by then.
"""

from __future__ import annotations

import importlib
import math
import signal
import time
from types import FrameType
from typing import Any

from .upstream import Place

SERVER = "federatedscope.core.workers.server"
UTILITIES = "federatedscope.core.auxiliaries.utils"
INBOX = "federatedscope.core.gRPC_server"
PLACES = (
    Place(UTILITIES, "Timeout.__enter__", ("self",), ("seconds", "SIGALRM", "alarm")),
    Place(UTILITIES, "Timeout.reset", ("self",), ("alarm",)),
    Place(SERVER, "Server.run", ("self",), ("Timeout", "reset", "receive", "TimeoutError")),
)


POLL_S = 0.25


class Alarm:
    """Whether a time budget runs, and whether its alarm has gone off."""

    def __init__(self) -> None:
        self.armed = False
        self._due = False

    def set(self, armed: bool) -> None:
        """Begin or end a time budget, or begin it anew."""
        self.armed, self._due = armed, False

    def ring(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal."""
        self._due = True

    def check(self) -> None:
        """Raise a TimeoutError if it has gone off."""
        if self._due:
            self._due = False
            raise TimeoutError


def interrupt_only_waiting() -> None:
    """Have the alarm end nothing but a wait. Without the patch busy_wait, waiting looks like work."""
    module: Any = importlib.import_module(SERVER)
    inbox = importlib.import_module(INBOX).gRPCComServeFunc
    if not hasattr(inbox, "wait_for_message"):
        return
    alarm = Alarm()
    usual, wait = module.Timeout, inbox.wait_for_message

    class Timeout(usual):  # type: ignore[misc,valid-type]  # FederatedScope has no types
        def __enter__(self) -> Any:
            answer = super().__enter__()
            alarm.set(self.seconds > 0)
            if alarm.armed:
                signal.signal(signal.SIGALRM, alarm.ring)
            return answer

        def __exit__(self, *raised: Any) -> Any:
            alarm.set(False)
            return super().__exit__(*raised)

        def reset(self) -> None:
            alarm.set(alarm.armed)
            super().reset()

    def wait_for_message(self: Any, timeout: float | None = None) -> bool:
        if not alarm.armed:
            return bool(wait(self, timeout))
        end = math.inf if timeout is None else time.monotonic() + timeout
        while not self.msg_queue:  # what has arrived counts, also if the time is over
            alarm.check()
            left = end - time.monotonic()
            if left <= 0:
                return False
            wait(self, min(left, POLL_S))
        return True

    module.Timeout = Timeout
    inbox.wait_for_message = wait_for_message
