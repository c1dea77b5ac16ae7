"""``ctl``: send one command to the running agent over its socket and get one JSON object back.

One socket is inside the agent's own file system, for users who may ``docker exec`` there; another is in the state
folder, for root on the lab host.
"""

from __future__ import annotations

import contextlib
import json
import os
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...contract.agent_calls import CALLS, Call
from ...contract.agent_socket import NobodyListensError, short_name
from ...contract.agent_socket import ask as ask_once

SOCKET = os.environ.get("FEDSIM_AGENT_SOCKET", "/run/fedsim-agent.sock")
_START_S = 10.0  # an agent whose container has only just started

Handler = Callable[[str, dict[str, Any]], Mapping[str, Any]]


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str, handler: Handler) -> None:
        self.answer = handler
        super().__init__(path, _Request)


class _Request(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        line = self.rfile.readline()
        try:
            request = json.loads(line)
            answer = self.server.answer(request["command"], request["arguments"])
        except Exception as error:  # the caller gets an answer, and the agent goes on
            answer = {"error": f"{type(error).__name__}: {error}" if not str(error) else str(error)}
        with contextlib.suppress(OSError):  # the caller has gone and needs no answer
            self.wfile.write(json.dumps(answer).encode() + b"\n")


def listen(handler: Handler, path: str = SOCKET) -> Callable[[], None]:
    """Answer commands from now on, in threads; return a function that ends this."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).unlink(missing_ok=True)
    with short_name(Path(path)) as address:
        server = _Server(address, handler)
    Path(path).chmod(0o600)
    threading.Thread(target=server.serve_forever, name="control", kwargs={"poll_interval": 0.5}, daemon=True).start()

    def close() -> None:
        server.shutdown()
        server.server_close()
        Path(path).unlink(missing_ok=True)

    return close


def ask(command: str, arguments: dict[str, Any], path: str = SOCKET) -> dict[str, Any]:
    """Send one command and return the answer, waiting for an agent that is just starting.

    Raises:
        NobodyListensError: no agent is listening.
        OSError: the agent ended before it answered, or did not answer in time.
    """
    within_s = CALLS.get(command, Call).within_s
    deadline = time.monotonic() + _START_S
    while True:
        try:
            return ask_once(Path(path), command, arguments, within_s)
        except NobodyListensError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def main(arguments: Sequence[str]) -> int:
    """``ctl COMMAND [JSON]``: print the answer; return 1 if it is an error."""
    if not 1 <= len(arguments) <= 2:
        print("usage: python -m fedsim_runner.agent ctl COMMAND [JSON]", file=sys.stderr)
        return 2
    try:
        answer = ask(arguments[0], json.loads(arguments[1]) if len(arguments) > 1 else {})
    except (NobodyListensError, OSError, ValueError) as error:
        answer = {"error": f"the agent does not answer: {error}"}
    print(json.dumps(answer))
    return 1 if "error" in answer else 0
