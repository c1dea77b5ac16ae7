#!/usr/bin/python
"""The device containers of a lab host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_devices
short_description: The device containers of a lab host, all in one call
description:
  - Creates and starts one container per device of the device file, several at a time, or removes them.
  - Existing containers are read and compared with the device file; one that differs is created again, and the diff
    names the options. A container that has ended is created again with an empty out folder.
  - A container gets its CPU limit right after its start, because a small one would slow the start itself. A running
    container whose CPU limit alone differs is updated and keeps running.
  - A container is limited as its device type says, runs without capabilities on a read-only root, and waits at the gate
    until the agent opens it. Each has a uid of its own, which neither the lab host's users nor other runs have.
  - Containers of the run whose device is no longer in the device file are removed with their files before anything is
    created, unless O(devices) narrows the call.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
  - fedsim.testbed.docker
  - fedsim.testbed.run
  - fedsim.testbed.run.control
  - fedsim.testbed.run.state_dir
  - fedsim.testbed.run.devices
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Each option that differs, before and after, by device.
options:
  state:
    description:
      - V(present) creates the containers, V(started) also starts them, V(absent) removes them.
    type: str
    choices: [present, started, absent]
    default: started
  device_file:
    description: Device file on the lab host. Required unless O(state=absent).
    type: path
  images:
    description: References of images by their logical names, as the images stage returns them.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: All devices of this lab host
  fedsim.testbed.fedsim_devices:
    run: quickstart
    state_dir: /var/lib/fedsim/quickstart
    device_file: /var/lib/fedsim/quickstart/device_file.json
    images: "{{ fedsim_image_refs }}"

- name: Remove two of them
  fedsim.testbed.fedsim_devices:
    state: absent
    run: quickstart
    state_dir: /var/lib/fedsim/quickstart
    devices: pi-1,pi-2
"""

RETURN = r"""
devices:
  description: One result per device.
  returned: always
  type: dict
  sample: {"pi-1": {"changed": true, "failed": false, "msg": null, "diff": []}}
failed_devices:
  description: Names of the devices that failed.
  returned: always
  type: list
  elements: str
seconds:
  description: Seconds that the parts of the work took.
  returned: when containers were created or started
  type: dict
  sample: {"create_and_start": 4.2}
"""

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._actions import Action, Actions, actions, nothing
from ansible_collections.fedsim.testbed.plugins.module_utils._batch import DeviceFailedError, for_each_device
from ansible_collections.fedsim.testbed.plugins.module_utils._container_difference import compare_container
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.host_capacity import architecture
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import (
    KIND_DEVICE,
    LABEL_DEVICE,
    container_name,
    run_filter,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import StateFolder
from ansible_collections.fedsim.testbed.plugins.module_utils._cpu_limit import (
    build_cpu_limit,
    compare_cpu_limit,
    set_cpu_limit,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._device_container import (
    Settings,
    build_device_container,
    find_block_device,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._device_file import (
    list_addresses,
    matches,
    read_device_file,
    select_devices,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._device_users import users_of_devices
from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import (
    APIError,
    EngineError,
    NotFound,
    RequestException,
    create_container,
    explain,
    inspect_or_none,
    list_containers,
    read_last_lines,
    remove_container,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._folder_removal import remove_folder
from ansible_collections.fedsim.testbed.plugins.module_utils._module import (
    CONTROL,
    DEVICES,
    DOCKER,
    RUN,
    STATE_DIR,
    Call,
    Module,
    build_device_answer,
    run_module,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._state_dir import make_empty_output_folder

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "started", "absent"], "default": "started"},
    "device_file": {"type": "path"},
    "images": {"type": "dict", "default": {}},
    **RUN,
    **CONTROL,
    **STATE_DIR,
    **DEVICES,
    **DOCKER,
}


def plan_device(
    name: str,
    have: Mapping[str, Any] | None,
    inspected: dict[str, Any] | None,
    want: dict[str, Any] | None,
    cpu_limit: Mapping[str, int] | None = None,
    image_id: str | None = None,
    start: bool = True,
) -> Actions:
    """Plan the way from the container that a device has to the requested one.

    Args:
        name: the device.
        have: its entry in the Engine's list; None if it has no container.
        inspected: the Engine's description of the container, if it is running or was only created.
        want: body of the Engine's create call; None for no container.
        cpu_limit: the CPU options that the container has once it runs.
        image_id: id of the requested image on this lab host; None if it is not there.
        start: whether to start the container.
    """
    differences = Differences()
    goal = "started" if start else "created"
    limiting = Action("limit", name, cpu_limit or {})
    starting = (Action("start", name), limiting) if start else ()
    creation = (Action("create", name, want or {}), *starting)
    if want is None:
        if have is None:
            return nothing(f"{name} has no container")
        differences.add("state", "present", "absent")
        return actions((Action("remove", have["Id"]),), differences)
    if have is None:
        differences.add("state", "absent", goal)
        return actions(creation, differences)
    if inspected is None:
        differences.add("state", have["State"], goal)
    else:
        compare_container(inspected, want, image_id, differences)
    made_anew = bool(differences)
    if have["State"] == "running" and inspected is not None:
        compare_cpu_limit(inspected, limiting.options, differences)
    if made_anew:
        return actions((Action("remove", have["Id"]), *creation), differences)
    if start and have["State"] == "created":
        differences.add("state", "created", "started")
        return actions(starting, differences)
    if differences:
        return actions((limiting,), differences)
    return nothing(f"{name} is as requested")


class Provisioner:
    """Creates and starts the devices of one call."""

    def __init__(self, call: Call, content: dict[str, Any], devices: list[dict[str, Any]]) -> None:
        self.client = call.client
        self.check = call.check
        self.start: bool = call.params["state"] == "started"
        self.devices = {device["name"]: device for device in devices}
        self.time_factor: float = content.get("time_factor", 1.0)
        state_dir, images = call.params["state_dir"], call.params["images"]
        self.users = users_of_devices(StateFolder(Path(state_dir)), content, call.check)
        engine = self.client.info()
        self.settings = Settings(content, state_dir, images, list_addresses(content), self.users, engine)
        self.existing = list_containers_by_device(self.client, call.run)
        # Docker's folder exists here only if the Engine runs on this machine, not in a VM.
        self.disk = find_block_device(self.settings.docker_root)
        self.engine_arch = architecture(str(engine["Architecture"]))
        found = {logical: self._inspect_image(logical) for logical in sorted({device["image"] for device in devices})}
        self.image_ids = {logical: image and str(image["Id"]) for logical, image in found.items()}
        self.platforms = {logical: self._read_platform(image) for logical, image in found.items()}

    def work(self, name: str, differences: Differences) -> None:
        """Bring one device to the requested state, or in check mode only record what differs."""
        device, have = self.devices.get(name), self.existing.get(name)
        want = None if device is None else self._build_container(device)
        cpu_limit = None
        if device is not None:
            cpu_limit = build_cpu_limit(device["cpus"], self.settings.dropped, self.time_factor, name)
        inspected = None
        if have is not None and want is not None and have["State"] in ("running", "created"):
            inspected = self.client.inspect_container(have["Id"])
        image_id = None if device is None else self.image_ids[device["image"]]
        todo = plan_device(name, have, inspected, want, cpu_limit, image_id, self.start)
        differences.items += todo.differences.items
        if not self.check:
            todo.carry_out({"create": self._create, "start": self._start, "limit": self._limit, "remove": self._remove})
            if device is None:  # it is no longer one of the run, which would collect its files
                with contextlib.suppress(FileNotFoundError):
                    remove_folder(StateFolder(Path(self.settings.state_dir)).outputs(name).parent)

    def read_back(self, results: dict[str, dict[str, Any]]) -> None:
        """Mark devices that ended right after their start, which the Engine takes for success; one call for all."""
        now = list_containers_by_device(self.client, self.settings.run)
        for name, result in results.items():
            if name not in self.devices or result["failed"] or not result["changed"]:
                continue
            entry = now.get(name)
            if entry is None or entry["State"] != "running":
                message = explain_missing_device(self.client, container_name(self.settings.run, name))
                if message is not None:
                    result.update(failed=True, changed=False, msg=message)

    def _build_container(self, device: dict[str, Any]) -> dict[str, Any]:
        if device["image"] not in self.settings.images:
            raise DeviceFailedError(
                "image {} has not been built (built: {}): run the images stage".format(
                    device["image"], ", ".join(sorted(self.settings.images)) or "none"
                )
            )
        if (device["read_bps"] or device["write_bps"]) and self.disk is None:
            raise DeviceFailedError(
                "block I/O limits are requested, but no disk is found under Docker's folder "
                f"{self.settings.docker_root}: remove read_bps and write_bps from the device type"
            )
        return build_device_container(self.settings, device, self.disk)

    def _inspect_image(self, logical: str) -> Mapping[str, Any] | None:
        reference = self.settings.images.get(logical)
        if reference is None:
            return None
        try:
            found: Mapping[str, Any] = self.client.inspect_image(reference)
            return found
        except NotFound as error:
            if self.check:  # in check mode the images stage has built nothing, either
                return None
            raise EngineError(f"image {reference} is not on this lab host: run the images stage") from error

    def _read_platform(self, image: Mapping[str, Any] | None) -> str | None:
        """Return the platform of an image that is not of the Engine's architecture; None: the Engine's own will do."""
        arch = self.engine_arch if image is None else image.get("Architecture", self.engine_arch)
        return None if arch == self.engine_arch else f"linux/{arch}"

    def _create(self, action: Action) -> None:
        folder = StateFolder(Path(self.settings.state_dir)).outputs(action.name)
        make_empty_output_folder(folder, self.users[action.name])
        name = container_name(self.settings.run, action.name)
        platform = self.platforms[self.devices[action.name]["image"]]
        create_container(self.client, dict(action.options), name, platform)

    def _start(self, action: Action) -> None:
        try:
            self.client.start(container_name(self.settings.run, action.name))
        except APIError as error:
            raise DeviceFailedError(f"cannot be started: {explain(error)}") from error

    def _limit(self, action: Action) -> None:
        set_cpu_limit(self.client, container_name(self.settings.run, action.name), action.options)

    def _remove(self, action: Action) -> None:
        remove_container(self.client, action.name)


def explain_missing_device(client: Any, container: str) -> str | None:
    """Return what has become of a container that the Engine does not list as running; None if it runs all the same."""
    try:
        found = inspect_or_none(client, container)
    except (APIError, RequestException) as error:
        return f"was started, but the Engine does not say whether it runs: {explain(error)}"
    if found is None:
        return "ended right after its start: its container is gone"
    if found["State"]["Running"]:
        return None if not found["State"]["Paused"] else "is paused"
    return f"ended right after its start: {read_last_lines(client, container)}"


def list_containers_by_device(client: Any, run: str) -> dict[str, dict[str, Any]]:
    """Return the Engine's entries of a run's device containers by device."""
    found = list_containers(client, run_filter(run, KIND_DEVICE))
    return {entry["Labels"].get(LABEL_DEVICE) or entry["Id"]: entry for entry in found}


def ensure_present(call: Call) -> dict[str, Any]:
    content = read_device_file(call.params["device_file"], call.run)
    selected = select_devices(content, call.params["devices"])
    begun = time.monotonic()
    provisioner = Provisioner(call, content, selected)
    leaving = [] if call.params["devices"] else sorted(provisioner.existing.keys() - provisioner.devices.keys())
    # What goes, goes first: its memory, its address and perhaps its name are somebody else's now.
    results = for_each_device(leaving, provisioner.work)
    results |= for_each_device(provisioner.devices, provisioner.work)
    if provisioner.start and not call.check:
        provisioner.read_back(results)
    return build_device_answer("devices", results, seconds={"create_and_start": round(time.monotonic() - begun, 2)})


def ensure_absent(call: Call) -> dict[str, Any]:
    found = list_containers_by_device(call.client, call.run)
    chosen = [name for name in sorted(found) if matches(name, call.params["devices"])]

    def remove(name: str, differences: Differences) -> None:
        todo = plan_device(name, found[name], None, None)
        differences.items += todo.differences.items
        if call.check:
            return
        remove_container(call.client, found[name]["Id"])
        with contextlib.suppress(FileNotFoundError):
            remove_folder(StateFolder(Path(call.params["state_dir"])).outputs(name))

    return build_device_answer("devices", for_each_device(chosen, remove))


def work(call: Call) -> dict[str, Any]:
    call.claim_run(call.params["state_dir"])
    return ensure_absent(call) if call.params["state"] == "absent" else ensure_present(call)


MODULE = Module(
    ARGUMENTS,
    work,
    "devices of run {run}",
    engine=True,
    required_if=[("state", state, ["device_file"]) for state in ("present", "started")],
)


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
