#!/usr/bin/python
"""What a run is about to take of a lab host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_reservation
short_description: Reserve what a run's devices are given of a lab host
description:
  - Claims the run for whoever runs Ansible, and writes down in its state folder what its devices are given here, so
    that whoever plans another run counts with it before this one has an agent that says so.
  - With O(known), the reservations of which the plan knew, nothing is reserved if there is another one. The run is to
    be planned again then, beside it.
  - Without it, as for an inventory that was written some time ago, the module fails if another run has one of the GPUs.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
  - fedsim.testbed.docker
  - fedsim.testbed.run
  - fedsim.testbed.run.control
attributes:
  check_mode:
    support: full
    details: Nothing is reserved.
  diff_mode:
    support: none
    details: A reservation says when it was made, and so never is what it was before.
options:
  state:
    description: V(present) reserves, V(absent) gives back what is reserved.
    type: str
    choices: [present, absent]
    default: present
  cpus:
    description: The sum of the devices' CPU limits.
    type: float
    default: 0.0
  memory_bytes:
    description: What the devices are expected to take.
    type: int
    default: 0
  gpu_ids:
    description: GPUs that the devices are given, as the Engine calls them.
    type: list
    elements: str
    default: []
  known:
    description: The reservations that the plan counted with, each as its run, C(@) and when it was made.
    type: list
    elements: str
  folder_id:
    description: What tells the run's folder from others. A run of the same name with another folder that another user,
      or a user of another machine, has on the lab host is then refused.
    type: str
    default: ""
  state_root:
    description: Folder that holds the state folders of runs.
    type: path
    default: /var/lib/fedsim
"""

EXAMPLES = r"""
- name: Reserve what the devices get
  fedsim.testbed.fedsim_reservation:
    run: quickstart
    cpus: 1.8
    memory_bytes: 1073741824
    gpu_ids: ["0"]
"""

RETURN = r"""
unknown:
  description: Runs with reservations that the plan does not know, and whose they are; then nothing is reserved.
  returned: always
  type: list
  elements: str
  sample: ["run second of user ada"]
"""

from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._agent_control import call_agent
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.agent_calls import Holds
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.claim import parse_control
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.errors import Exit
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import (
    KIND_AGENT,
    LABEL_KIND,
    LABEL_RUN,
    agent_name,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import STATE_ROOT, StateFolder
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.reservation import (
    Reservation,
    RunOfAnotherError,
    describe_whose,
    give_back,
    read_reservation,
    reserve,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import EngineError, connect
from ansible_collections.fedsim.testbed.plugins.module_utils._module import (
    CONTROL,
    DOCKER,
    RUN,
    Call,
    FailedError,
    Module,
    run_module,
)

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "cpus": {"type": "float", "default": 0.0},
    "memory_bytes": {"type": "int", "default": 0},
    "gpu_ids": {"type": "list", "elements": "str", "default": []},
    "known": {"type": "list", "elements": "str"},
    "folder_id": {"type": "str", "default": ""},
    "state_root": {"type": "path", "default": str(STATE_ROOT)},
    **RUN,
    **CONTROL,
    **DOCKER,
}


def find_holder(client: Any, run: str, gpu_ids: set[str]) -> str | None:
    """Return the run whose agent says that it has one of the GPUs, and whose it is; None: none says so."""
    for entry in client.containers(filters={"label": f"{LABEL_KIND}={KIND_AGENT}"}):
        other = entry["Labels"][LABEL_RUN]
        if other == run:
            continue
        try:
            answer = call_agent(client, agent_name(other), Holds())
        except EngineError:  # it has just ended, or is of a version that does not know the call
            continue
        if gpu_ids & set(answer.get("gpu_ids", ())):
            return describe_whose(other, str(answer["user"]))
    return None


def refuse_gpus(call: Call, state: StateFolder, holder: str) -> None:
    """Fail: another run has one of the GPUs.

    Raises:
        FailedError: always.
    """
    give_back(state, parse_control(call.params["control"]))
    raise FailedError(
        f"{holder} has a GPU that this plan gives to devices of run {call.run}: wait for it, or plan anew beside it "
        "(`fedsim-provision inventory`)",
        fedsim_exit_code=Exit.LAB,
        unknown=[holder],
    )


def work(call: Call) -> dict[str, Any]:
    params = call.params
    state = StateFolder(Path(params["state_root"]) / call.run)
    if call.check or not params["control"]:
        return {"changed": False, "unknown": []}
    control = parse_control(params["control"])
    if params["state"] == "absent":
        was_there = state.reservation.exists()
        give_back(state, control)
        return {"changed": was_there and not state.reservation.exists(), "unknown": []}
    gpu_ids = set(params["gpu_ids"])
    wanted = Reservation(
        call.run,
        cpus=params["cpus"],
        memory_bytes=params["memory_bytes"],
        gpu_ids=tuple(params["gpu_ids"]),
        folder_id=params["folder_id"],
    )

    def is_unknown(other: Reservation) -> bool:
        if params["known"] is not None:
            return other.token not in params["known"]
        return other.counts and bool(gpu_ids & set(other.gpu_ids))

    before = read_reservation(state)
    try:
        unknown = [str(other) for other in reserve(state, control, wanted, is_unknown)]
    except RunOfAnotherError as error:
        raise FailedError(str(error), fedsim_exit_code=error.exit) from error
    if params["known"] is None and unknown:
        refuse_gpus(call, state, unknown[0])
    if params["known"] is None and gpu_ids:
        # Only now: a run whose reservation no longer counts has an agent that answers for it.
        client = connect(params["docker_host"])
        try:
            holder = find_holder(client, call.run, gpu_ids)
        finally:
            client.close()
        if holder is not None:
            refuse_gpus(call, state, holder)
    # When it was made and whether an agent answers for it are no difference.
    is_same = before is not None and before.gives_the_same_as(wanted)
    return {"changed": not unknown and not is_same, "unknown": unknown}


MODULE = Module(ARGUMENTS, work, "reservation of run {run}")


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
