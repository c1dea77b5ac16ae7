#!/usr/bin/python
"""The run's network on a lab host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_network
short_description: The isolated network of a run
description:
  - Starts the container that holds the run's network namespace, or removes it. It has no network of Docker's, does
    nothing but wait, and has no rights.
  - In its namespace the agent makes the run's bridge and connects the devices (M(fedsim.testbed.fedsim_links)), so that
    they reach each other and nothing else, neither the lab host nor another run.
  - A container that differs, or has ended, is made again. The devices then lose their interfaces until
    M(fedsim.testbed.fedsim_links) has connected them again, and a course that runs has failed.
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
  diff_mode:
    support: full
    details: Each option that differs, before and after.
options:
  state:
    description: Whether the network exists.
    type: str
    choices: [present, absent]
    default: present
  lab_host:
    description: Name of the lab host, recorded in a label. Required for O(state=present).
    type: str
  image:
    description: Reference of the agent's image, which the container uses, too. Required for O(state=present).
    type: str
"""

EXAMPLES = r"""
- name: The run's network
  fedsim.testbed.fedsim_network:
    run: quickstart
    lab_host: local
    state_dir: /var/lib/fedsim/quickstart
    image: "{{ fedsim_image_refs.agent }}"
"""

RETURN = r"""
network:
  description: Name and id of the container that holds the network.
  returned: when it exists
  type: dict
  sample: {"container": "fedsim-quickstart--network", "id": "5c1e..."}
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._actions import Action, Actions, actions, nothing
from ansible_collections.fedsim.testbed.plugins.module_utils._container_difference import compare_container
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.errors import Exit, FedsimError
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import (
    KIND_NETWORK,
    labels,
    network_name,
    run_filter,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import StateFolder
from ansible_collections.fedsim.testbed.plugins.module_utils._device_container import LOG_CONFIG
from ansible_collections.fedsim.testbed.plugins.module_utils._device_users import users_of
from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import (
    APIError,
    EngineError,
    NotFound,
    explain,
    list_containers,
    remove_container,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._module import (
    CONTROL,
    DOCKER,
    RUN,
    STATE_DIR,
    Call,
    Module,
    build_answer,
    run_module,
)

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "lab_host": {"type": "str"},
    "image": {"type": "str"},
    **RUN,
    **CONTROL,
    **STATE_DIR,
    **DOCKER,
}
#: One process, and the threads of the Engine's runtime that start it.
PIDS = 64


class NetworkError(FedsimError):
    """The network cannot be made; the text says why."""

    exit = Exit.PROVISIONING


@dataclass(frozen=True)
class Facts:
    """What exists of the run's network.

    ``containers`` are the Engine's entries; ``inspected`` is the first of them if it is running, ``image_id`` the id of
    the requested image on this lab host.
    """

    containers: Sequence[Mapping[str, Any]] = field(default_factory=list)
    inspected: dict[str, Any] | None = None
    image_id: str = ""


def plan_network(have: Facts, want: dict[str, Any] | None) -> Actions:
    """Plan the way from what exists to the requested network, or to none."""
    differences = Differences()
    removals = [Action("remove", entry["Id"]) for entry in have.containers]
    if want is None:
        for entry in have.containers:
            differences.add("state", entry["State"], "absent")
        return actions(removals, differences) if removals else nothing("the run has no network")
    if not have.containers:
        differences.add("state", "absent", "started")
    elif have.inspected is None:
        differences.add("state", have.containers[0]["State"], "started")
    else:
        compare_container(have.inspected, want, have.image_id, differences)
    if not differences:
        return nothing("the network is as requested")
    return actions((*removals, Action("start", want["Image"], want)), differences)


def build_network_container(params: Mapping[str, Any], user: int) -> dict[str, Any]:
    """Body of the Engine's create call for the container that holds the network, as the user with this uid."""
    run, state_dir = params["run"], params["state_dir"]
    return {
        "Image": params["image"],
        "Hostname": "network",
        "User": f"{user}:{user}",
        "Cmd": ["sleep", "infinity"],
        # It ignores SIGTERM, as the first process of a container does.
        "StopSignal": "SIGKILL",
        "Env": [],
        "Labels": labels(run, KIND_NETWORK, params["lab_host"], state_dir),
        "HostConfig": {
            "NetworkMode": "none",
            "PidsLimit": PIDS,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "ReadonlyRootfs": True,
            "LogConfig": LOG_CONFIG,
            "RestartPolicy": {"Name": "no"},
        },
    }


def read_facts(client: Any, run: str, image: str | None) -> Facts:
    """Read what exists of the run's network."""
    containers = list_containers(client, run_filter(run, KIND_NETWORK))
    inspected, image_id = None, "not on this lab host"
    if containers and containers[0]["State"] == "running" and image:
        inspected = client.inspect_container(containers[0]["Id"])
        with contextlib.suppress(NotFound):
            image_id = client.inspect_image(image)["Id"]
    return Facts(containers, inspected, image_id)


class Handlers:
    """What carries out each action."""

    def __init__(self, client: Any, run: str) -> None:
        self.client = client
        self.run = run

    def carry_out(self, todo: Actions) -> None:
        todo.carry_out({"remove": self.remove, "start": self.start})

    def remove(self, action: Action) -> None:
        remove_container(self.client, action.name)

    def start(self, action: Action) -> None:
        try:
            created = self.client.create_container_from_config(dict(action.options), network_name(self.run))
            self.client.start(created["Id"])
        except NotFound as error:
            raise EngineError(f"image {action.name} is not on this lab host: run the images stage") from error
        except APIError as error:
            raise NetworkError(f"container {network_name(self.run)} cannot be started: {explain(error)}") from error


def work(call: Call) -> dict[str, Any]:
    call.claim_run(call.params["state_dir"])
    want = None
    if call.params["state"] == "present":
        users = users_of(StateFolder(Path(call.params["state_dir"])), check=call.check)
        want = build_network_container(call.params, users.network)
    have = read_facts(call.client, call.run, call.params["image"])
    todo = plan_network(have, want)
    if not call.check:
        Handlers(call.client, call.run).carry_out(todo)
        if todo.todo:
            have = read_facts(call.client, call.run, None)
    answer = build_answer("network", network_name(call.run), todo.differences)
    if want and have.containers:
        answer["network"] = {"container": network_name(call.run), "id": have.containers[0]["Id"]}
    return answer


MODULE = Module(
    ARGUMENTS,
    work,
    "network of run {run}",
    engine=True,
    required_if=[("state", "present", ["image", "lab_host"])],
)


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
