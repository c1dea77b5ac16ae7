"""Calling a run's agent: over its socket if it is on this machine, else by a command in its container."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.agent_calls import (
    Call,
    command_line,
    parse_answer,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.agent_socket import ask_here
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import LABEL_STATE
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import (
    APIError,
    EngineError,
    NotFound,
    RequestException,
    explain,
    is_running,
    read_last_lines,
    run_in,
)


class AgentEndedError(EngineError):
    """A run's agent has ended; the text has its last words."""


def call_agent(client: Any, agent: str, call: Call) -> dict[str, Any]:
    """Return the agent's answer to one control command.

    Raises:
        EngineError: the agent does not exist, is not running, does not answer in time or answers with an error; or the
            Engine did not answer.
        AgentEndedError: it has ended.
    """
    try:
        folder = _find_state_folder(client, agent)
        answer = ask_here(client.base_url, folder, call) if folder else None
        if answer is None:
            answer = _execute(client, agent, call)
    except NotFound as error:
        raise EngineError(f"the agent container {agent} does not exist: run the agent stage first") from error
    except (APIError, RequestException, OSError) as error:
        raise EngineError(f"the agent container {agent} cannot be called: {explain(error)}") from error
    if "error" in answer:
        raise EngineError(f"the agent's `{call.name}` failed: {answer['error']}")
    return answer


def _find_state_folder(client: Any, agent: str) -> str | None:
    """Return the folder of the agent's run; None if the Engine does not say.

    Raises:
        AgentEndedError: the Engine says that the agent does not run.
    """
    try:
        found = client.inspect_container(agent)
    except NotFound:
        raise
    except (APIError, RequestException):
        return None
    if not found["State"]["Running"]:
        raise AgentEndedError(f"the agent container {agent} has ended: {read_last_lines(client, agent)}")
    folder: str | None = found["Config"]["Labels"].get(LABEL_STATE)
    return folder


def _execute(client: Any, agent: str, call: Call) -> dict[str, Any]:
    """Send the call by a command in the container, which waits for an agent that is starting."""
    try:
        status, out, err = run_in(client, agent, command_line(call), call.command_within_s)
    except RequestException:
        # The Engine has not answered, and what has become of the command is unknown: each may be repeated.
        status, out, err = run_in(client, agent, command_line(call), call.command_within_s)
    answer = parse_answer(out)
    if answer is None:
        lines = (err.strip() or out.strip() or "no output").splitlines()
        raise EngineError(f"the agent's `{call.name}` failed (exit {status}): {lines[-1]}")
    return answer


def wait_for_agent(client: Any, agent: str, call: Call, timeout_s: float) -> dict[str, Any]:
    """Repeat ``call`` until the agent answers, and return the answer.

    Raises:
        AgentEndedError: the agent ended.
        EngineError: it did not answer in ``timeout_s`` seconds.
    """
    deadline = time.monotonic() + timeout_s
    pause = 0.1
    while True:
        try:
            return call_agent(client, agent, call)
        except AgentEndedError:
            raise
        except EngineError as error:
            if not is_running(client, agent):
                text = f"the agent ended while starting: {read_last_lines(client, agent)}"
                raise AgentEndedError(text) from error
            if time.monotonic() > deadline:
                raise
        time.sleep(pause)
        pause = min(pause * 1.5, 1.0)
