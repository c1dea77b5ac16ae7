"""The socket on which a run's agent takes calls, in the run's state folder.

Only root may open it on the lab host. Whoever may not, or works elsewhere, executes a command in the agent's container
instead (:func:`~.agent_calls.command_line`), which costs the start of a Python there.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .agent_calls import Call
from .errors import Exit, FedsimError
from .paths import StateFolder
from .typed_json import dump

#: The base of the Docker SDK's URLs if the Engine is on this machine.
ENGINE_HERE = "http+docker://localhost"


class NobodyListensError(FedsimError):
    """No agent listens there, or this user may not call it; nothing was sent."""

    exit = Exit.LAB


def ask_here(engine_url: str, state_folder: str | None, call: Call) -> dict[str, Any] | None:
    """Return the answer of an agent on this machine; None if it is elsewhere or cannot be reached over its socket.

    Args:
        engine_url: the base of the URLs of the Engine that runs the agent.
        state_folder: the run's state folder, from the container's label.
        call: the call.

    Raises:
        OSError: the agent ended before it answered, or did not answer in time.
    """
    if engine_url != ENGINE_HERE or not state_folder:
        return None
    try:
        return ask(StateFolder(Path(state_folder)).control, call.name, dump(call), call.within_s)
    except NobodyListensError:
        return None


def ask(path: Path, name: str, arguments: Mapping[str, Any], within_s: float) -> dict[str, Any]:
    """Send one call and return the answer.

    Raises:
        NobodyListensError: no agent listens at ``path``, or this user may not call it.
        OSError: the agent ended before it answered, or did not answer in ``within_s`` seconds.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        # Before it connects, which has to wait where an agent that is frozen has callers enough.
        channel.settimeout(within_s)
        try:
            with short_name(path) as address:
                channel.connect(address)
        except (TimeoutError, BlockingIOError) as error:
            raise OSError(f"the agent has not answered in {within_s:g} s") from error
        except OSError as error:
            raise NobodyListensError(f"{path}: {error.strerror}") from error
        try:
            channel.sendall(json.dumps({"command": name, "arguments": arguments}).encode() + b"\n")
            with channel.makefile("rb") as reader:
                line = reader.readline()
        except TimeoutError as error:
            raise OSError(f"the agent has not answered in {within_s:g} s") from error
    if not line:
        raise OSError("the agent ended before it answered")
    answer: dict[str, Any] = json.loads(line)
    return answer


@contextmanager
def short_name(path: Path) -> Iterator[str]:
    """Yield a name of ``path`` that fits into a socket's address: the kernel takes 107 bytes.

    Raises:
        OSError: its folder does not exist.
    """
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
