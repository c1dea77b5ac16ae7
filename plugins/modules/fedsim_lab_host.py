#!/usr/bin/python
"""Probe what a lab host has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_lab_host
short_description: Probe a lab host
description:
  - Reads what the lab host's kernel and Docker Engine really offer, and lists what is missing with its fix. As root it
    also tries whether network namespaces, bridges and veth pairs can be made, whether a packet passes between two
    namespaces that are connected as devices are, whether the kernel has WireGuard, and whether the Engine sees the
    folder O(state_root).
  - With O(demands) it also compares this with what the devices of this lab host need.
  - Changes nothing, except that with O(run) it claims the run for whoever runs Ansible, in the run's state folder.
    What a trial makes ends with it.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
  - fedsim.testbed.docker
  - fedsim.testbed.run.control
attributes:
  check_mode:
    support: full
    details: The run is not claimed; nothing else is changed anyway.
  diff_mode:
    support: none
    details: There is nothing to compare.
options:
  run:
    description: Claim this run, if the lab host is fit.
    type: str
    default: ""
  demands:
    description:
      - What the devices on this lab host need together, from their device file on the control node.
        The lab host itself has no device file yet.
    type: dict
    suboptions:
      devices:
        description: How many there are.
        type: int
        required: true
      memory_bytes:
        description: The sum of their memory limits.
        type: int
        required: true
      gpus:
        description: The sum of their GPUs.
        type: int
        required: true
      arch:
        description: The architectures they are planned for.
        type: list
        elements: str
        required: true
      emulated:
        description: Architectures that some of them are to have under an emulator.
        type: list
        elements: str
        default: []
      congestion_control:
        description: The TCP congestion control that they are to have, or V(auto).
        type: str
        default: auto
      encrypt:
        description: Whether what they send to devices on other lab hosts is encrypted, for which WireGuard is needed.
        type: bool
        default: false
  state_root:
    description: Folder that will hold the state folders of runs; its disk is measured.
    type: path
    default: /var/lib/fedsim
  trials:
    description: Try what only a trial shows. Without, the module only reads what the lab host has.
    type: bool
    default: true
  fail_if_unfit:
    description: Fail, naming the fixes, if a run is impossible here.
    type: bool
    default: false
  engine_required:
    description: Whether an Engine that is missing or stopped makes the lab host unfit.
    type: bool
    default: true
  emulator_required:
    description: Whether it makes the lab host unfit that its kernel does not run programs of O(demands.emulated).
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Probe the lab host
  fedsim.testbed.fedsim_lab_host:
    demands: {devices: 20, memory_bytes: 10737418240, gpus: 0, arch: [amd64]}
  register: probe
"""

RETURN = r"""
engine_answers:
  description: Whether a Docker Engine answers.
  returned: always
  type: bool
lab_host:
  description: >-
    Kernel, arch, cpus, memory, tasks, Engine, limits, disk, our images, kind of machine, GPUs, what runs have reserved.
  returned: always
  type: dict
  sample: {"kernel": "6.1.0", "arch": "amd64", "cpus": 8, "memory_bytes": 16000000000, "engine": "20.10.24"}
fedsim_news:
  description: Says that the role goes on to start or install an Engine, if none answers.
  returned: always
  type: list
  elements: dict
  sample: [{"event": "engine_wanted", "installed": false}]
emulation_wanted:
  description: Architectures that devices are to have and whose programs the kernel does not run yet.
  returned: always
  type: list
  elements: str
  sample: [arm64]
problems:
  description: What is missing, its fix, and whether a run is impossible without it.
  returned: always
  type: list
  elements: dict
  sample: [{"what": "no Docker Engine answers", "fix": "apt-get install docker.io", "fatal": true}]
"""

import os
import platform
import shutil
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._contract.congestion_control import (
    AUTO,
    read_congestion_controls,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.emulation import (
    PACKAGE,
    describe_circumstances,
    dump_slowdowns,
    read_slowdowns,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.errors import Exit
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.events import EngineMissing
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.host_capacity import (
    HostCapacity,
    measure_this_machine,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.lab_network import GET_WIREGUARD, NO_WIREGUARD
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import check_run
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import STATE_ROOT
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.reservation import read_reservations
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.typed_json import dump
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.units import size
from ansible_collections.fedsim.testbed.plugins.module_utils._cpu_limit import LET_UPDATE_THROUGH, try_update
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import EngineError, connect, find_daemon
from ansible_collections.fedsim.testbed.plugins.module_utils._folder_trial import NOT_SHARED, SHARE_IT, try_folder
from ansible_collections.fedsim.testbed.plugins.module_utils._image_build import list_own_images
from ansible_collections.fedsim.testbed.plugins.module_utils._module import (
    CONTROL,
    DOCKER,
    Call,
    FailedError,
    Module,
    run_module,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._network_trial import find_missing, has_wireguard

ARGUMENTS: dict[str, Any] = {
    "run": {"type": "str", "default": ""},
    "demands": {
        "type": "dict",
        "options": {
            "devices": {"type": "int", "required": True},
            "memory_bytes": {"type": "int", "required": True},
            "gpus": {"type": "int", "required": True},
            "arch": {"type": "list", "elements": "str", "required": True},
            "emulated": {"type": "list", "elements": "str", "default": []},
            "congestion_control": {"type": "str", "default": AUTO},
            "encrypt": {"type": "bool", "default": False},
        },
    },
    "state_root": {"type": "path", "default": str(STATE_ROOT)},
    "trials": {"type": "bool", "default": True},
    "fail_if_unfit": {"type": "bool", "default": False},
    "engine_required": {"type": "bool", "default": True},
    "emulator_required": {"type": "bool", "default": True},
    **DOCKER,
    **CONTROL,
}

#: With less free space a run is likely to fill the disk.
ENOUGH_DISK_BYTES = 3 * 1024**3


class Problems:
    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def add(self, what: str, fix: str, fatal: bool = True) -> None:
        self.found.append({"what": what, "fix": fix, "fatal": fatal})


def detect_virtual_machine() -> str | None:
    """Return the kind of virtual machine; only WSL matters, whose kernels lack what others have."""
    release = platform.release().lower()
    if "microsoft" in release:
        return "wsl2"
    return None


def read_disk_free_bytes(folder: str) -> int:
    path = Path(folder)
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def free_capacity(capacity: HostCapacity) -> dict[str, Any]:
    return {
        "gpu_ids": list(capacity.gpu_ids),
        "memory_free_bytes": capacity.memory_free_bytes,
        "tasks": capacity.tasks,
        "emulates": None if capacity.emulates is None else list(capacity.emulates),
        "processor": capacity.processor,
    }


def read_engine(
    client: Any, capacity: HostCapacity, facts: dict[str, Any], problems: Problems, trials: bool = True
) -> None:
    info = client.info()
    capacity = capacity.with_engine_figures(info)
    facts.update(
        engine=info["ServerVersion"],
        api=client.api_version,
        cpus=capacity.cpus,
        memory_bytes=capacity.memory_bytes,
        arch=capacity.arch,
        **free_capacity(capacity),
        kernel=info["KernelVersion"],
        cgroup_version=str(info.get("CgroupVersion", "1")),
        cgroup_driver=info["CgroupDriver"],
        memory_limit=bool(info["MemoryLimit"]),
        swap_limit=bool(info["SwapLimit"]),
        cpu_limit=bool(info.get("CpuCfsQuota")),
        pids_limit=bool(info.get("PidsLimit")),
        docker_root=info["DockerRootDir"],
        docker_desktop="Docker Desktop" in info["OperatingSystem"],
        gpu_runtime="nvidia" in (info.get("Runtimes") or {}),
        security=[option.split(",")[0].replace("name=", "") for option in info.get("SecurityOptions") or []],
    )
    facts["images"] = sorted(list_own_images(client))
    if not facts["memory_limit"]:
        problems.add(
            "the kernel does not limit a container's memory",
            "boot with `cgroup_enable=memory` (Raspberry Pi OS and some Debian kernels switch it off)",
        )
    if not facts["cpu_limit"]:
        problems.add(
            "the kernel does not limit a container's CPU time",
            "use a kernel with CONFIG_CFS_BANDWIDTH and the cpu cgroup controller",
        )
    refusal = try_update(client) if trials else None
    if refusal is not None:
        problems.add(f"the Docker Engine does not change a container's CPU limit ({refusal})", LET_UPDATE_THROUGH)
    if not facts["swap_limit"] and Path("/proc/swaps").read_text().count("\n") > 1:
        problems.add(
            "swap is on and the kernel does not limit it: a device may use more than its memory",
            "`swapoff -a`, or boot with `swapaccount=1`",
            fatal=False,
        )
    if not facts["pids_limit"]:
        problems.add(
            "the kernel does not limit a container's processes",
            "use a kernel with the pids cgroup controller",
            False,
        )
    for mode in ("rootless", "userns"):
        if mode in facts["security"]:
            problems.add(
                f"the Docker Engine runs in {mode} mode, where the agent cannot shape links",
                "use an Engine that runs as root without user namespaces",
            )


def check_folder(client: Any, state_root: str, problems: Problems) -> None:
    """Check that containers can mount what this machine writes."""
    try:
        reason = try_folder(client, state_root)
    except OSError as error:
        problems.add(
            f"no folder can be made in {state_root} ({error.strerror})", f"make {state_root} writable for root"
        )
        return
    if reason is not None:
        problems.add(f"{NOT_SHARED.format(folder=state_root)} ({reason})", SHARE_IT)


def find_not_emulated(demands: dict[str, Any], facts: dict[str, Any]) -> list[str]:
    """Return the architectures that devices are to have and whose programs the kernel does not run."""
    emulates = facts["emulates"]
    return [] if emulates is None else sorted(set(demands["emulated"]) - {*emulates, facts["arch"]})


def compare(demands: dict[str, Any], facts: dict[str, Any], problems: Problems, emulator_required: bool) -> None:
    """Compare the lab host with what its devices need."""
    not_emulated = find_not_emulated(demands, facts)
    if not_emulated:
        problems.add(
            f"the kernel does not run programs for {', '.join(not_emulated)}, which devices are to emulate",
            f"`apt-get install {PACKAGE}` (Debian and Ubuntu)",
            fatal=emulator_required,
        )
    foreign = sorted(set(demands["arch"]) - {facts["arch"]})
    if foreign:
        problems.add(
            "devices need {}, the lab host is {}".format(", ".join(foreign), facts["arch"]),
            "plan again on this lab host (`fedsim-provision plan`)",
        )
    lack = read_congestion_controls().lacks(demands["congestion_control"])
    if lack is not None:
        problems.add(*lack)
    if demands["encrypt"] and facts["wireguard"] is False:
        problems.add(NO_WIREGUARD, GET_WIREGUARD)
    if demands["gpus"] and not facts.get("gpu_runtime"):
        problems.add(
            f"{demands['gpus']} GPUs are requested, but the Engine has no nvidia runtime",
            "install the NVIDIA Container Toolkit, or set `gpus: 0` in the device's overrides",
        )
    if demands["memory_bytes"] > facts["memory_bytes"]:
        problems.add(
            f"the devices' memory limits add up to {size(demands['memory_bytes'])}, "
            f"the lab host has {size(facts['memory_bytes'])}",
            "this works unless all devices use their limits; otherwise place fewer devices here",
            fatal=False,
        )


def work(call: Call) -> dict[str, Any]:
    problems = Problems()
    trials = call.params["trials"]
    capacity = measure_this_machine()
    facts: dict[str, Any] = {
        "kernel": platform.release(),
        "arch": capacity.arch,
        "cpus": capacity.cpus,
        "memory_bytes": capacity.memory_bytes,
        **free_capacity(capacity),
        "virtual_machine": detect_virtual_machine(),
        "disk_free_bytes": read_disk_free_bytes(call.params["state_root"]),
        "engine": None,
        "reservations": [dump(found) for found in read_reservations(Path(call.params["state_root"]))],
        "slowdowns": dump_slowdowns(read_slowdowns(Path(call.params["state_root"]), describe_circumstances())),
        "engine_installed": find_daemon() is not None,
        "docker_desktop": False,
        "wireguard": None,
    }
    events: list[dict[str, Any]] = []
    try:
        client = connect(call.params["docker_host"])
        try:
            read_engine(client, capacity, facts, problems, trials)
            if trials and os.geteuid() == 0:
                check_folder(client, call.params["state_root"], problems)
        finally:
            client.close()
    except EngineError as error:
        left_to_role = error.fixable_by_role and not call.params["engine_required"]
        problems.add(error.message, error.hint, fatal=not left_to_role)
        if left_to_role:
            events.append(EngineMissing(facts["engine_installed"]).as_dict())
    # Docker Desktop's Engine has a kernel of its own, and only root may make a namespace.
    if trials and os.geteuid() == 0 and not facts["docker_desktop"]:
        for what, fix in find_missing():
            problems.add(what, fix)
        facts["wireguard"] = has_wireguard()
    if facts["disk_free_bytes"] < ENOUGH_DISK_BYTES:
        problems.add(
            f"{size(facts['disk_free_bytes'])} of disk space are free",
            f"free {size(ENOUGH_DISK_BYTES)} (`docker image prune`, old runs)",
            fatal=False,
        )
    if call.params["demands"]:
        compare(call.params["demands"], facts, problems, call.params["emulator_required"])
    answer = {
        "changed": False,
        "engine_answers": facts["engine"] is not None,
        "lab_host": facts,
        "problems": problems.found,
        "emulation_wanted": find_not_emulated(call.params["demands"], facts) if call.params["demands"] else [],
        "fedsim_news": events,
    }
    fatal = [problem for problem in problems.found if problem["fatal"]]
    if fatal and call.params["fail_if_unfit"]:
        text = "; ".join("{}: {}".format(problem["what"], problem["fix"]) for problem in fatal)
        raise FailedError(f"this lab host cannot carry the run: {text}", fedsim_exit_code=Exit.LAB, **answer)
    if call.run and answer["engine_answers"]:
        call.claim_run(Path(call.params["state_root"]) / check_run(call.run), make=True)
    return answer


MODULE = Module(ARGUMENTS, work)


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
