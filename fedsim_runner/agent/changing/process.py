"""The process itself: commands as JSON lines, and changes at their time.

``{"op": "open", "namespaces": {device: path}}`` is answered with ``failed``, reasons by device; ``{"op": "close",
"device": name}`` is not answered. ``{"op": "change", "number": n, "at": t, "forms": [...], "parts": [...]}`` has
what due_requests.py encodes; it is made at this time of the monotonic clock, which all processes share, and that is
not answered.
``{"op": "changed", "number": n}``: what has become of a change; one that still waits is made first.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import select
import signal
import sys
import time
from typing import Any

from ..processes.commands import Commands
from ..processes.scheduling import gain_priority
from .due_requests import decode
from .requests import Requests

_PR_SET_TIMERSLACK = 29
_TIMER_SLACK_NS = 1000


def serve(commands: Commands, requests: Requests) -> None:
    """Carry out commands and changes until the channel of commands ends."""
    while True:
        while requests.make_next(time.monotonic()):
            pass
        wait_s = None if requests.next_s is None else max(0.0, requests.next_s - time.monotonic())
        if commands:
            wait_s = 0.0
        if select.select([commands.reads], [], [], wait_s)[0] and not commands.read():
            return
        if commands:
            # One, before it is seen whether a change is due.
            answer = obey(requests, commands.take())
            if answer is not None:
                commands.answer(answer)


def obey(requests: Requests, command: dict[str, Any]) -> dict[str, Any] | None:
    """Carry out one command; return the answer, if it has one."""
    match command["op"]:
        case "open":
            failed: dict[str, str] = {}
            for name, path in command["namespaces"].items():
                try:
                    requests.open(name, path)
                except OSError as error:
                    failed[name] = str(error)
            return {"failed": failed}
        case "close":
            requests.close(command["device"])
        case "change":
            requests.hold(command["number"], command["at"], decode(command))
        case "changed":
            outcome = requests.outcome(command["number"])
            return {"late_s": outcome.late_s, "made": outcome.made, "refused": outcome.refused}
    return None


def main() -> int:
    """Run the process; its argument is the descriptor of its channel."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, _TIMER_SLACK_NS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.collect()
    gc.disable()  # nothing here creates cycles, and a collection would delay a change
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    channel = os.dup(int(sys.argv[1]))  # select() takes no descriptor above 1023, and the agent may have many open
    gain_priority()
    serve(Commands(channel, channel), Requests())
    return 0
