"""Whether a run's agent still watches its course: from its snapshot's time, and from the Engine in case of doubt."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.course_state import Outcome
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import agent_name
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import StateFolder
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.process_state import is_stopped
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import (
    APIError,
    EngineError,
    RequestException,
    connect,
    explain,
    inspect_or_none,
    read_last_lines,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._journal import read_snapshot_time

#: The agent's exit code when its last line of output gives the reason.
AGENT_GAVE_UP = 1
#: The agent writes its snapshot every second. One that is no older than this spares the Engine a question.
SIGN_OF_LIFE_S = 2.5
#: How long an agent that is seen to be frozen may be so: a pause that ends at once does no harm.
FROZEN_S = 2.0
#: How old the snapshot of an agent that runs may be, in seconds, ...
AGENT_HANGS_S = 30
#: ... if it has also been watched for so long: a machine that was suspended finds every snapshot old.
WATCHED_S = 4.0
#: While the Engine does not answer, this is how long the snapshot may be late.
AGENT_SILENT_S = 120


class AgentWatch:
    """Looks after one run's agent. Call :meth:`check` about once a second."""

    def __init__(self, docker_host: str, run: str, state: StateFolder) -> None:
        self._docker_host = docker_host
        self._name = agent_name(run)
        self._state = state
        self._client: Any = None
        self._written: float | None = None
        self._unchanged_since = time.monotonic()

    def check(self) -> Outcome | None:
        """Return how the course has ended for the agent's sake; None if it still watches it, as far as is known."""
        if not self._state.path.exists():
            return make_failure(f"the run's state folder {self._state.path} has been deleted")
        written = read_snapshot_time(self._state)
        if written != self._written:
            self._written, self._unchanged_since = written, time.monotonic()
        # A clock that was set back may put the snapshot into the future.
        if written is not None and 0 <= time.time() - written < SIGN_OF_LIFE_S:
            return None
        try:
            # Not before there is a need: the journal can be read while the Engine does not answer.
            self._client = self._client or connect(self._docker_host)
            found = inspect_or_none(self._client, self._name)
        except (EngineError, APIError, RequestException) as error:
            return self._check_sign_of_life(explain(error))
        if found is None:
            return make_failure(f"the agent container {self._name} is gone")
        return self._check_running(found) if found["State"]["Running"] else self._describe_end(found["State"])

    def close(self) -> None:
        """Close the connection to the Engine, if there is one."""
        if self._client is not None:
            self._client.close()

    def _check_running(self, found: dict[str, Any]) -> Outcome | None:
        unchanged_s = time.monotonic() - self._unchanged_since
        frozen = _how_it_is_frozen(found)
        if frozen is not None:
            return make_failure(f"the agent container {self._name} {frozen}") if unchanged_s >= FROZEN_S else None
        late = self._written is not None and time.time() - self._written >= AGENT_HANGS_S
        if late and unchanged_s >= WATCHED_S:
            return make_failure(
                f"the agent container {self._name} runs, but has written nothing for {AGENT_HANGS_S} s: it hangs, "
                "or the lab host has far more to do than it can"
            )
        return None

    def _describe_end(self, state: dict[str, Any]) -> Outcome:
        cause = "killed for using too much memory" if state["OOMKilled"] else f"exit code {state['ExitCode']}"
        lines = read_last_lines(self._client, self._name, 10).splitlines()
        detail = f"; its last line: {lines[-1]}" if state["ExitCode"] == AGENT_GAVE_UP else ""
        return make_failure(f"the agent container {self._name} ended during the course ({cause}){detail}", lines)

    def _check_sign_of_life(self, reason: str) -> Outcome | None:
        """Whether the agent still writes its snapshot: an Engine that does not answer says nothing about it."""
        if self._written is None or time.time() - self._written < AGENT_SILENT_S:
            return None
        return make_failure(
            f"the agent has written nothing for {AGENT_SILENT_S} s, and the Docker Engine does not answer: {reason}"
        )


def make_failure(reason: str, last_lines: Iterable[str] = ()) -> Outcome:
    """Return the outcome of a course that failed for this reason."""
    return Outcome("failed", reason, last_lines=tuple(last_lines))


def _how_it_is_frozen(found: dict[str, Any]) -> str | None:
    state = found["State"]
    if state.get("Paused"):
        return "is frozen: it was paused (`docker pause`)"
    pid = int(state.get("Pid") or 0)
    if _is_here(pid, str(found["Id"])) and is_stopped(pid):
        return "is frozen: its process was stopped by a signal"
    return None


def _is_here(pid: int, container: str) -> bool:
    """Whether the process, whose number the Engine gives, is that of the container on this machine."""
    try:
        return container in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False
