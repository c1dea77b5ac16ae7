#!/usr/bin/python
"""Start the course of a run and follow it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_course
short_description: Start a course and follow it
description:
  - V(start) has the participants load their engines, after which the gate opens by itself; it does not wait for that.
    V(poll) returns the events in the agent's journal since this consumer's last call, and waits if there are none.
    V(status) returns the agent's own summary.
  - A course that fails does not fail the module, as its logs are still to be collected; see RV(outcome).
  - An agent that no longer runs, is frozen or hangs ends the course, with its name; so does a deleted state folder.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
  - fedsim.testbed.docker
  - fedsim.testbed.run
  - fedsim.testbed.run.control
  - fedsim.testbed.run.state_dir
attributes:
  check_mode:
    support: full
    details: The gate and the cursor stay as they are; a poll does not wait.
  diff_mode:
    support: full
    details: The gate, closed or open.
options:
  action:
    description: What to do.
    type: str
    choices: [start, poll, status]
    required: true
  open_at:
    description: When the gate opens at the earliest, in Unix seconds. Several lab hosts agree on one time.
    type: float
  consumer:
    description: Name of the reader, which has its own cursor.
    type: str
    default: play
  wait_s:
    description: Seconds that a poll waits for an event.
    type: float
    default: 5
  gather_s:
    description: Seconds for which a poll gathers events before it returns them; the end of the course ends it.
    type: float
    default: 1
  patience_s:
    description:
      - Seconds for which a poll is repeated while the lab host cannot be reached; then it returns RV(finished) and an
        RV(outcome) that says so. The action plugin does that, on the control node.
    type: float
    default: 30
"""

EXAMPLES = r"""
- name: Open the gate
  fedsim.testbed.fedsim_course:
    action: start
    run: quickstart
    state_dir: /var/lib/fedsim/quickstart

- name: Follow the course
  fedsim.testbed.fedsim_course:
    action: poll
    run: quickstart
    state_dir: /var/lib/fedsim/quickstart
  register: poll
  until: poll.finished | default(true)
  retries: 100000
  delay: 0
"""

RETURN = r"""
fedsim_news:
  description: Events in the journal that this consumer had not read.
  returned: when O(action=poll)
  type: list
  elements: dict
  sample: [{"t": 1700000000.0, "event": "round_started", "round": 1}]
fedsim_snapshot:
  description:
    - The agent's last snapshot of what the devices do and use; null before the first one. Of more than 50 devices
      C(devices) has the 20 that are furthest behind, and C(others) a line with name, state and round for each of the
      rest; C(counts) has how many there are in each state.
  returned: when O(action=poll)
  type: dict
  sample: {"t": 1700000000.0, "round": 3, "counts": {"training": 1}, "devices": {"pi-1": {"state": "training"}}}
finished:
  description: Whether the course has ended, successfully or not.
  returned: when O(action=poll) or O(action=start)
  type: bool
outcome:
  description: How it ended; null before.
  returned: when O(action=poll) or O(action=start)
  type: dict
  sample: {"status": "failed", "reason": "exit code 137, out of memory", "device": "iot-1", "last_lines": []}
status:
  description: The agent's summary.
  returned: when O(action=status)
  type: dict
  sample: {"state": "running", "round": 3, "total_rounds": 10}
"""

import re
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._agent_control import call_agent
from ansible_collections.fedsim.testbed.plugins.module_utils._agent_watch import AgentWatch, make_failure
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.agent_calls import OpenGate, Status
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.course_state import Outcome
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import agent_name
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import StateFolder
from ansible_collections.fedsim.testbed.plugins.module_utils._device_file import read_device_file
from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import EngineError, connect, explain
from ansible_collections.fedsim.testbed.plugins.module_utils._journal import Reader, read_snapshot
from ansible_collections.fedsim.testbed.plugins.module_utils._module import (
    CONTROL,
    DOCKER,
    RUN,
    STATE_DIR,
    Call,
    FailedError,
    Module,
    build_answer,
    run_module,
)

ARGUMENTS: dict[str, Any] = {
    "action": {"type": "str", "choices": ["start", "poll", "status"], "required": True},
    "open_at": {"type": "float"},
    "consumer": {"type": "str", "default": "play"},
    "wait_s": {"type": "float", "default": 5},
    "gather_s": {"type": "float", "default": 1},
    "patience_s": {"type": "float", "default": 30},
    **RUN,
    **CONTROL,
    **STATE_DIR,
    **DOCKER,
}

READ_EVERY_S = 0.2
CHECK_AGENT_EVERY_S = 1.0
#: The agent ends a course that exceeds its time limit. If it has not done so this much later, the agent hangs.
GRACE_S = 120


class Poll:
    def __init__(self, call: Call) -> None:
        self.check = call.check
        self.state = StateFolder(Path(call.params["state_dir"]))
        self.agent = AgentWatch(call.params["docker_host"], call.run, self.state)
        self.wait_s: float = 0 if call.check else call.params["wait_s"]
        self.gather_s: float = min(call.params["gather_s"], self.wait_s)
        self.reader = Reader(self.state, call.params["consumer"], keep=not call.check)

    def run_once(self) -> dict[str, Any]:
        begun = time.monotonic()
        checked = -CHECK_AGENT_EVERY_S
        events: list[dict[str, Any]] = []
        while True:
            events += self.reader.new_events()
            outcome = self.reader.outcome
            now = time.monotonic()
            if outcome is None and now - checked >= CHECK_AGENT_EVERY_S:
                checked = now
                outcome = self.agent.check() or self._check_time_limit()
                if outcome is not None:
                    # The agent may have written its last events since the journal was read.
                    events += self.reader.new_events()
                    outcome = self.reader.outcome or outcome
            if outcome is not None or now - begun >= (self.gather_s if events else self.wait_s):
                finished = outcome is not None or self.check
                return {
                    "changed": False,
                    "fedsim_news": events,
                    "fedsim_snapshot": read_snapshot(self.state),
                    "finished": finished,
                    "outcome": None if outcome is None else outcome.as_dict(),
                }
            time.sleep(READ_EVERY_S)

    def close(self) -> None:
        self.agent.close()

    def _check_time_limit(self) -> Outcome | None:
        opened, loading_until = self.reader.gate_opens, self.reader.loading_until
        if opened is None and loading_until is not None and time.time() > loading_until + GRACE_S:
            return make_failure(f"the agent has not opened the gate {GRACE_S} s after all must have loaded")
        if opened is None or time.time() < opened + GRACE_S or not self.state.device_file.exists():
            return None
        limit = float(read_device_file(str(self.state.device_file))["course"]["timeout_s"])
        if time.time() > opened + limit + GRACE_S:
            return make_failure(f"the agent has not ended a course that is {GRACE_S} s over its time limit")
        return None


def open_gate(call: Call, client: Any) -> dict[str, Any]:
    state = StateFolder(Path(call.params["state_dir"]))
    differences = Differences()
    ended = None
    if call.check:
        # Asked for already, it opens by itself.
        before = "open" if state.gate_open.exists() or state.gate_load.exists() else "closed"
        differences.compare("gate", before, "open")
    else:
        try:
            opened = call_agent(client, agent_name(call.run), OpenGate(call.params["open_at"]))
            if opened["changed"]:
                differences.add("gate", "closed", "open")
        except EngineError as error:
            ended = make_failure(str(error)).as_dict()
    return build_answer("course", call.run, differences, finished=ended is not None, outcome=ended)


def work(call: Call) -> dict[str, Any]:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", call.params["consumer"]):
        raise FailedError("consumer: only letters, digits, dots, dashes and underscores are allowed")
    try:
        if call.params["action"] != "status":
            call.claim_run(call.params["state_dir"])
        if call.params["action"] == "poll":
            with closing(Poll(call)) as poll:
                return poll.run_once()
        with closing(connect(call.params["docker_host"])) as client:
            if call.params["action"] == "start":
                return open_gate(call, client)
            return {"changed": False, "status": call_agent(client, agent_name(call.run), Status())}
    except OSError as error:
        raise FailedError(f"{error.filename or call.params['state_dir']}: {explain(error)}") from error


MODULE = Module(ARGUMENTS, work)


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
