#!/usr/bin/python
"""The run's agent on a lab host."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fedsim.testbed.plugins.module_utils._batch import each_device
from ansible_collections.fedsim.testbed.plugins.module_utils._containers import LOG_CONFIG, compare_container
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.agent_calls import Probe
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import (
    KIND_AGENT,
    KIND_DEVICE,
    LABEL_DEVICE,
    agent_name,
    check_run,
    labels,
    run_filter,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import StateFolder
from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences, render_diff
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import (
    DOCKER_ARGUMENTS,
    APIError,
    EngineError,
    NotFound,
    connect_or_fail,
    explain,
    list_containers,
    wait_for_agent,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._journal import course_has_ended

DOCUMENTATION = r"""
module: fedsim_agent
short_description: The agent of a run on a lab host
description:
  - Starts the container that shapes links, holds the gate and supervises the course, and waits until it answers; or
    stops and removes it.
  - After a course that has ended, or an agent that died, everything begins anew. The gate is closed, the journal is
    emptied, and the run's device containers are removed, for they have passed the gate.
author: fedsim-runner (@fedsim-runner)
requirements: ["Docker SDK for Python", "Docker Engine 20.10 or newer"]
attributes:
  check_mode:
    support: full
    description: Nothing is changed, the answer says what would be.
  diff_mode:
    support: full
    description: Before and after of each option that differs.
options:
  state:
    description: Whether the agent shall be there.
    type: str
    choices: [present, absent]
    default: present
  run:
    description: Run id.
    type: str
    required: true
  lab_host:
    description: Name of the lab host, recorded in a label. Required for O(state=present).
    type: str
  state_dir:
    description: The run's state folder on the lab host.
    type: path
    required: true
  image:
    description: Reference of the agent's image. Required for O(state=present).
    type: str
  capabilities:
    description: Capabilities the agent has beside Docker's default ones.
    type: list
    elements: str
    default: [DAC_READ_SEARCH, NET_ADMIN, SYS_ADMIN, SYS_NICE, SYS_PTRACE]
  wait_s:
    description: Seconds to wait for its first answer.
    type: int
    default: 60
  docker_host:
    description: Where the Engine listens.
    type: str
    default: unix:///var/run/docker.sock
"""

EXAMPLES = r"""
- name: The run's agent
  fedsim.testbed.fedsim_agent:
    run: quickstart
    lab_host: local
    state_dir: /var/lib/fedsim/quickstart
    image: "{{ fedsim_image_refs.agent }}"
"""

RETURN = r"""
probe:
  description: What the agent found out about the kernel, and the back end it will use.
  returned: when it was started; empty if it was running as wanted
  type: dict
  sample: {"backend": "netem", "netem": true, "tbf": true, "nfqueue": true, "missing": [], "kernel": "6.1.0"}
removed_devices:
  description: Devices of an ended course whose containers were removed.
  returned: when O(state=present)
  type: list
  elements: str
"""

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "run": {"type": "str", "required": True},
    "lab_host": {"type": "str"},
    "state_dir": {"type": "path", "required": True},
    "image": {"type": "str"},
    "capabilities": {
        "type": "list",
        "elements": "str",
        # In this order: reading folders that belong to the devices' user, tc, entering other containers' network
        # namespaces, packets in time on a loaded lab host, looking up which namespaces those are.
        "default": ["DAC_READ_SEARCH", "NET_ADMIN", "SYS_ADMIN", "SYS_NICE", "SYS_PTRACE"],
    },
    "wait_s": {"type": "int", "default": 60},
    **DOCKER_ARGUMENTS,
}
STOP_SECONDS = 10


def agent_container(params: dict[str, Any]) -> dict[str, Any]:
    """Body of the Engine's create call for the agent."""
    state_dir, run = params["state_dir"], params["run"]
    socket = params["docker_host"].removeprefix("unix://")
    return {
        "Image": params["image"],
        "Hostname": "",
        "User": "0:0",
        "Cmd": ["python3", "-m", "fedsim_runner.agent", "serve", "--state", state_dir, "--run", run],
        "Env": [],
        "Labels": labels(run, KIND_AGENT, params["lab_host"], state_dir),
        "HostConfig": {
            "PidMode": "host",
            "NetworkMode": "host",
            # With cgroup v2 the paths of other containers' cgroups can be told only from here.
            "CgroupnsMode": "host",
            "CapAdd": sorted(params["capabilities"]),
            # The default AppArmor profile forbids looking at processes outside the container, which is its task. The
            # second is what the Engine adds by itself for containers in the host's pid namespace.
            "SecurityOpt": ["apparmor=unconfined", "label=disable"],
            "Binds": [
                f"{socket}:/var/run/docker.sock:rw",
                f"{state_dir}:{state_dir}:rw",
                # A container sees only its own cgroup; the agent samples those of the devices.
                "/sys/fs/cgroup:/sys/fs/cgroup:ro",
            ],
            "LogConfig": LOG_CONFIG,
            "RestartPolicy": {"Name": "no"},
        },
    }


class Agent:
    def __init__(self, module: AnsibleModule, client: Any, run: str) -> None:
        self.module = module
        self.client = client
        self.run = run
        self.check: bool = module.check_mode
        self.state = StateFolder(Path(module.params["state_dir"]))
        self.differences = Differences()
        self.removed: list[str] = []

    def present(self) -> dict[str, Any]:
        body = agent_container(self.module.params)
        found = list_containers(self.client, run_filter(self.run, KIND_AGENT))
        if found and self._is_as_wanted(found[0], body):
            return {}
        anew = bool(found) or self.state.gate_open.exists()
        for entry in found:
            self._remove(entry["Id"], running=entry["State"] == "running")
        if anew:
            self._begin_anew()
        if not found:
            self.differences.add("state", "absent", "started")
        if self.check:
            return {}
        try:
            identifier = self.client.create_container_from_config(body, agent_name(self.run))["Id"]
            self.client.start(identifier)
        except NotFound as error:
            raise EngineError("image {} is not on this lab host: run the images stage".format(body["Image"])) from error
        return self._probe()

    def absent(self) -> None:
        for entry in list_containers(self.client, run_filter(self.run, KIND_AGENT)):
            self.differences.add("state", entry["State"], "absent")
            self._remove(entry["Id"], running=entry["State"] == "running")

    def _is_as_wanted(self, entry: dict[str, Any], body: dict[str, Any]) -> bool:
        if entry["State"] != "running":
            self.differences.add("state", entry["State"], "started")
            return False
        body["Hostname"] = None
        inspected = self.client.inspect_container(entry["Id"])
        # In the host's network namespace the hostname is the lab host's.
        body["Hostname"] = inspected["Config"]["Hostname"]
        try:
            image_id = self.client.inspect_image(body["Image"])["Id"]
        except NotFound:
            image_id = "not on this lab host"
        compare_container(inspected, body, image_id, self.differences)
        if course_has_ended(self.state.journal):
            self.differences.add("course", "ended", "not begun")
        return not self.differences

    def _begin_anew(self) -> None:
        devices = {
            entry["Labels"].get(LABEL_DEVICE) or entry["Id"]: entry["Id"]
            for entry in list_containers(self.client, run_filter(self.run, KIND_DEVICE))
        }
        self.removed = sorted(devices)
        if self.removed:
            self.differences.add("devices", self.removed, [])
        if self.check:
            return

        def remove(name: str, differences: Differences) -> None:
            self.client.remove_container(devices[name], force=True, v=True)

        results = each_device(self.removed, remove)
        failed = [name for name, result in results.items() if result["failed"]]
        if failed:
            raise EngineError("devices of the ended course cannot be removed: {}".format(", ".join(failed)))
        self.state.gate_open.unlink(missing_ok=True)
        self.state.gate_lost.unlink(missing_ok=True)
        shutil.rmtree(self.state.agent, ignore_errors=True)
        self.state.cursors.mkdir(parents=True)

    def _remove(self, identifier: str, running: bool) -> None:
        if self.check:
            return
        if running:
            self.client.stop(identifier, timeout=STOP_SECONDS)
        self.client.remove_container(identifier, force=True, v=True)

    def _probe(self) -> dict[str, Any]:
        return wait_for_agent(self.client, agent_name(self.run), Probe(), self.module.params["wait_s"])


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        supports_check_mode=True,
        required_if=[("state", "present", ["image", "lab_host"])],
    )
    try:
        run = check_run(module.params["run"])
    except ValueError as error:
        module.fail_json(msg=str(error))
    client = connect_or_fail(module)
    agent = Agent(module, client, run)
    answer: dict[str, Any] = {}
    try:
        if module.params["state"] == "present":
            answer.update(probe=agent.present(), removed_devices=agent.removed)
        else:
            agent.absent()
    except EngineError as error:
        module.fail_json(msg=str(error))
    except APIError as error:
        module.fail_json(msg=f"agent of run {run}: {explain(error)}")
    finally:
        client.close()
    answer["changed"] = bool(agent.differences)
    if module._diff:
        answer["diff"] = render_diff({agent_name(run): agent.differences.items}, "agent")
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
