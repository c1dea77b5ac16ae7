#!/usr/bin/python
"""The run's agent on a lab host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_agent
short_description: The agent of a run on a lab host
description:
  - Starts the container that shapes links, holds the gate and supervises the course, and waits until it answers; or
    stops and removes it.
  - After a course that has begun, even if it still runs, or an agent that died, everything starts again, so that nobody
    joins the course of a control node that was killed. The gate is closed, the journal is emptied, and the run's device
    containers are removed, as they have passed the gate. The same is done with what is left of an earlier run of the
    same name.
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
    description: Whether the agent exists.
    type: str
    choices: [present, absent]
    default: present
  lab_host:
    description: Name of the lab host, recorded in a label. Required for O(state=present).
    type: str
  image:
    description: Reference of the agent's image. Required for O(state=present).
    type: str
  capabilities:
    description: Capabilities of the agent; it has no others.
    type: list
    elements: str
    default: [DAC_READ_SEARCH, NET_ADMIN, NET_RAW, SYS_ADMIN, SYS_NICE, SYS_PTRACE]
  memory_mb:
    description: Memory limit of the agent in MiB. With three devices it uses 25 MiB.
    type: int
    default: 1024
  pids:
    description: Limit of the agent's processes and threads. It has some 10, and more while it is called.
    type: int
    default: 512
  wait_s:
    description: Seconds to wait for the agent's first answer.
    type: int
    default: 60
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
  description: The agent's findings about the kernel, and the back end that it will use.
  returned: when it was started; empty if it was already running as requested
  type: dict
  sample:
    {"backend": "netem", "netem": true, "policer": true, "tbf": true, "nfqueue": true, "missing": [], "kernel": "6.1.0"}
removed_devices:
  description: Devices of an ended course whose containers were removed.
  returned: when O(state=present)
  type: list
  elements: str
"""

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._actions import Action, Actions, actions, nothing
from ansible_collections.fedsim.testbed.plugins.module_utils._agent_control import (
    AgentEndedError,
    wait_for_agent,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._batch import for_each_device
from ansible_collections.fedsim.testbed.plugins.module_utils._container_difference import compare_container
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.agent_calls import Probe
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.events import (
    CourseFailed,
    CourseFinished,
    GateOpened,
    LoadingStarted,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import (
    KIND_AGENT,
    KIND_DEVICE,
    LABEL_DEVICE,
    agent_name,
    labels,
    run_filter,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import StateFolder
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.reservation import hand_over
from ansible_collections.fedsim.testbed.plugins.module_utils._device_container import LOG_CONFIG
from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import (
    EngineError,
    NotFound,
    list_containers,
    remove_container,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._folder_trial import NOT_SHARED, SHARE_IT
from ansible_collections.fedsim.testbed.plugins.module_utils._journal import has_recorded
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
from ansible_collections.fedsim.testbed.plugins.module_utils._state_dir import PRIVATE_FOLDER

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "lab_host": {"type": "str"},
    "image": {"type": "str"},
    "capabilities": {
        "type": "list",
        "elements": "str",
        # In this order: reading folders that belong to the devices' user, tc, iptables-legacy, entering other
        # containers' network namespaces, packets in time on a loaded lab host, looking up which namespaces those are.
        "default": ["DAC_READ_SEARCH", "NET_ADMIN", "NET_RAW", "SYS_ADMIN", "SYS_NICE", "SYS_PTRACE"],
    },
    "memory_mb": {"type": "int", "default": 1024},
    "pids": {"type": "int", "default": 512},
    "wait_s": {"type": "int", "default": 60},
    **RUN,
    **CONTROL,
    **STATE_DIR,
    **DOCKER,
}
STOP_SECONDS = 10
CPU_SHARES = 262144  # the Engine's most; 10000 as a weight of cgroup v2


@dataclass(frozen=True)
class Facts:
    """What exists of a run's agent.

    ``agents`` are the Engine's entries; ``inspected`` is the first of them if it is running, ``image_id`` the id of
    the requested image on this lab host. ``gate_opened`` says whether devices have loaded for the gate or passed it,
    now or earlier; ``files_left`` whether an agent of this run has written its files; ``devices`` are the ids of the
    run's device containers.
    """

    agents: Sequence[Mapping[str, Any]] = field(default_factory=list)
    inspected: dict[str, Any] | None = None
    image_id: str = ""
    gate_opened: bool = False
    files_left: bool = False
    course_ended: bool = False
    devices: Mapping[str, str] = field(default_factory=dict)


def plan_agent(have: Facts, want: dict[str, Any] | None) -> Actions:
    """Plan the way from what exists to the requested agent, or to none.

    After a course that has begun, or an agent that died, everything starts again: devices have passed the gate, and
    whoever works on this run now would join the course of a control node that was killed. An earlier agent's files go
    in any case, even if nothing but a state folder was left: a new agent would take them for its own, resume that
    course, find it over, and end the new devices.
    """
    differences = Differences()
    removals = [
        Action("stop" if entry["State"] == "running" else "remove", entry["Id"], {"seconds": STOP_SECONDS})
        for entry in have.agents
    ]
    if want is None:
        for entry in have.agents:
            differences.add("state", entry["State"], "absent")
        return actions(removals, differences) if removals else nothing("the run has no agent")
    if have.agents:
        _compare(have, want, differences)
        if not differences:
            return nothing("the agent is as requested")
    reset = []
    if have.devices and (have.agents or have.gate_opened):
        differences.add("devices", sorted(have.devices), [])
        reset.append(Action("remove_devices", "devices", have.devices))
    if have.agents or have.gate_opened or have.files_left:
        reset.append(Action("reset", "gate and journal"))
    if not have.agents:
        differences.add("state", "absent", "started")
    return actions((*removals, *reset, Action("start", want["Image"], want)), differences)


def _compare(have: Facts, want: dict[str, Any], differences: Differences) -> None:
    if have.inspected is None:
        differences.add("state", have.agents[0]["State"], "started")
        return
    # In the host's network namespace the hostname is the lab host's.
    hostname = have.inspected["Config"]["Hostname"]
    compare_container(have.inspected, {**want, "Hostname": hostname}, have.image_id, differences)
    if have.course_ended or have.gate_opened:
        differences.add("course", "ended" if have.course_ended else "begun", "not begun")


def build_agent_container(params: Mapping[str, Any]) -> dict[str, Any]:
    """Body of the Engine's create call for the agent."""
    state_dir, run = params["state_dir"], params["run"]
    memory = params["memory_mb"] << 20
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
            # With cgroup v2 the paths of other containers' cgroups are visible only from here.
            "CgroupnsMode": "host",
            "CapDrop": ["ALL"],
            "CapAdd": sorted(params["capabilities"]),
            # It takes little, but in time, however many devices compute.
            "CpuShares": CPU_SHARES,
            "Memory": memory,
            "MemorySwap": memory,  # no extra swap
            "PidsLimit": params["pids"],
            # The default AppArmor profile forbids reading processes outside the container, which is the agent's task.
            # The Engine adds the second itself for containers in the host's pid namespace.
            "SecurityOpt": ["apparmor=unconfined", "label=disable"],
            "Binds": [
                f"{socket}:/var/run/docker.sock:rw",
                f"{state_dir}:{state_dir}:rw",
                # A container sees only its own cgroup; the agent samples those of the devices, and lifts their CPU
                # limits while they load.
                "/sys/fs/cgroup:/sys/fs/cgroup:rw",
            ],
            "LogConfig": LOG_CONFIG,
            "RestartPolicy": {"Name": "no"},
        },
    }


def read_facts(client: Any, run: str, state: StateFolder, image: str | None) -> Facts:
    """Read what exists of the run's agent and of its course."""
    agents = list_containers(client, run_filter(run, KIND_AGENT))
    inspected, image_id = None, "not on this lab host"
    if agents and agents[0]["State"] == "running" and image:
        inspected = client.inspect_container(agents[0]["Id"])
        with contextlib.suppress(NotFound):
            image_id = client.inspect_image(image)["Id"]
    return Facts(
        agents,
        inspected,
        image_id,
        state.gate_open.exists() or has_recorded(state.journal, LoadingStarted, GateOpened),
        state.journal.exists() or state.memory.exists(),
        has_recorded(state.journal, CourseFinished, CourseFailed),
        {
            entry["Labels"].get(LABEL_DEVICE) or entry["Id"]: entry["Id"]
            for entry in list_containers(client, run_filter(run, KIND_DEVICE))
        },
    )


class Handlers:
    """What carries out each action."""

    def __init__(self, client: Any, run: str, state: StateFolder) -> None:
        self.client = client
        self.run = run
        self.state = state

    def carry_out(self, todo: Actions) -> None:
        todo.carry_out(
            {
                "stop": self.stop,
                "remove": self.remove,
                "remove_devices": self.remove_devices,
                "reset": self.reset,
                "start": self.start,
            }
        )

    def stop(self, action: Action) -> None:
        self.client.stop(action.name, timeout=action.options["seconds"])
        self.remove(action)

    def remove(self, action: Action) -> None:
        remove_container(self.client, action.name)

    def remove_devices(self, action: Action) -> None:
        def remove_one(name: str, differences: Differences) -> None:
            remove_container(self.client, action.options[name])

        failed = [
            name for name, result in for_each_device(sorted(action.options), remove_one).items() if result["failed"]
        ]
        if failed:
            raise EngineError("devices of the ended course cannot be removed: {}".format(", ".join(failed)))

    def reset(self, action: Action) -> None:
        self.state.gate_open.unlink(missing_ok=True)
        self.state.gate_lost.unlink(missing_ok=True)
        shutil.rmtree(self.state.gate_load, ignore_errors=True)
        shutil.rmtree(self.state.agent, ignore_errors=True)
        self.state.agent.mkdir(mode=PRIVATE_FOLDER.mode, parents=True)
        self.state.cursors.mkdir(mode=PRIVATE_FOLDER.mode)

    def start(self, action: Action) -> None:
        try:
            created = self.client.create_container_from_config(dict(action.options), agent_name(self.run))
            self.client.start(created["Id"])
        except NotFound as error:
            raise EngineError(f"image {action.name} is not on this lab host: run the images stage") from error


def explain_end(said: str, state: StateFolder) -> str:
    """Return what helps if an agent ended because it does not find what is here; else nothing."""
    if str(state.device_file) in said and state.device_file.exists():
        return f"{NOT_SHARED.format(folder=state.path)}: {SHARE_IT}"
    return ""


def work(call: Call) -> dict[str, Any]:
    call.claim_run(call.params["state_dir"])
    state = StateFolder(Path(call.params["state_dir"]))
    present = call.params["state"] == "present"
    want = build_agent_container(call.params) if present else None
    have = read_facts(call.client, call.run, state, call.params["image"])
    todo = plan_agent(have, want)
    probe: dict[str, Any] = {}
    if not call.check:
        Handlers(call.client, call.run, state).carry_out(todo)
        if want and todo.todo:
            try:
                probe = wait_for_agent(call.client, agent_name(call.run), Probe(), call.params["wait_s"])
            except AgentEndedError as error:
                raise EngineError(error.message, explain_end(error.message, state)) from error
        if want:
            hand_over(state)
    answer = build_answer("agent", agent_name(call.run), todo.differences)
    if present:
        removed = [name for action in todo.todo if action.do == "remove_devices" for name in sorted(action.options)]
        answer.update(probe=probe, removed_devices=removed)
    return answer


MODULE = Module(
    ARGUMENTS, work, "agent of run {run}", engine=True, required_if=[("state", "present", ["image", "lab_host"])]
)


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
