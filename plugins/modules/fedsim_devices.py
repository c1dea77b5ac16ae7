#!/usr/bin/python
"""The device containers of a lab host."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fedsim.testbed.plugins.module_utils._batch import DeviceFailedError, each_device, finish
from ansible_collections.fedsim.testbed.plugins.module_utils._containers import (
    Settings,
    block_device_of,
    compare_container,
    device_container,
    device_name,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import (
    KIND_DEVICE,
    LABEL_DEVICE,
    check_run,
    run_filter,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.paths import StateFolder
from ansible_collections.fedsim.testbed.plugins.module_utils._device_file import (
    DeviceFileError,
    matches,
    read_device_file,
    select_devices,
    server_address,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import (
    DOCKER_ARGUMENTS,
    APIError,
    NotFound,
    connect_or_fail,
    explain,
    last_lines,
    list_containers,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._state_dir import prepare_out

DOCUMENTATION = r"""
module: fedsim_devices
short_description: The device containers of a lab host, all in one call
description:
  - Creates and starts one container per device of the device file, four at a time, or removes them.
  - Existing containers are read and compared with what is wanted; one that differs is made anew, and the diff names the
    options. A container that has ended is made anew with an empty out folder.
  - A container is limited as its device type says, runs as uid 10001 without capabilities on a read-only root, and
    waits at the gate until the agent opens it.
  - Containers of the run whose device is no longer in the device file are removed, unless O(devices) narrows the call.
author: fedsim-runner (@fedsim-runner)
requirements: ["Docker SDK for Python", "Docker Engine 20.10 or newer"]
attributes:
  check_mode:
    support: full
    description: Nothing is changed, the answer says what would be.
  diff_mode:
    support: full
    description: Before and after of each option that differs, by device.
options:
  state:
    description:
      - V(present) creates the containers, V(started) also starts them, V(absent) removes them.
    type: str
    choices: [present, started, absent]
    default: started
  run:
    description: Run id.
    type: str
    required: true
  device_file:
    description: Device file on the lab host. Required unless O(state=absent).
    type: path
  state_dir:
    description: The run's state folder on the lab host.
    type: path
    required: true
  images:
    description: References of images by their logical names, as the images stage returns them.
    type: dict
    default: {}
  devices:
    description:
      - Only devices whose name matches; shell patterns joined by commas, V(!) in front takes away. Empty for all.
    type: str
    default: ""
  docker_host:
    description: Where the Engine listens.
    type: str
    default: unix:///var/run/docker.sock
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
  description: What the parts of the work took.
  returned: when containers were created or started
  type: dict
  sample: {"create_and_start": 4.2}
"""

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "started", "absent"], "default": "started"},
    "run": {"type": "str", "required": True},
    "device_file": {"type": "path"},
    "state_dir": {"type": "path", "required": True},
    "images": {"type": "dict", "default": {}},
    "devices": {"type": "str", "default": ""},
    **DOCKER_ARGUMENTS,
}


class Present:
    """Bringing the wanted devices up, one call for all of them."""

    def __init__(
        self, module: AnsibleModule, client: Any, content: dict[str, Any], wanted: list[dict[str, Any]]
    ) -> None:
        self.module = module
        self.client = client
        self.check: bool = module.check_mode
        self.start: bool = module.params["state"] == "started"
        self.wanted = {device["name"]: device for device in wanted}
        engine = client.info()
        state_dir = module.params["state_dir"]
        self.settings = Settings(content, state_dir, module.params["images"], server_address(content), engine)
        self.existing = {
            entry["Labels"].get(LABEL_DEVICE, ""): entry
            for entry in list_containers(client, run_filter(content["run"], KIND_DEVICE))
        }
        # Docker's folder exists here only where the Engine runs in this machine, not in another VM.
        self.disk = block_device_of(self.settings.docker_root)
        self.image_ids = {logical: self._image_id(logical) for logical in sorted({d["image"] for d in wanted})}

    def work(self, name: str, differences: Differences) -> None:
        device = self.wanted.get(name)
        found = self.existing.get(name)
        if device is None:
            differences.add("state", "present", "absent")
            if not self.check:
                self.client.remove_container(self.existing[name]["Id"], force=True, v=True)
            return
        body = self._body(device)
        identifier: str | None = found["Id"] if found else None
        if found is None:
            differences.add("state", "absent", "started" if self.start else "created")
        elif found["State"] not in ("running", "created"):
            differences.add("state", found["State"], "started" if self.start else "created")
            identifier = self._remove(found["Id"])
        else:
            inspected = self.client.inspect_container(found["Id"])
            compare_container(inspected, body, self.image_ids[device["image"]], differences)
            if differences:
                identifier = self._remove(found["Id"])
            elif self.start and found["State"] == "created":
                differences.add("state", "created", "started")
        if self.check or not differences:
            return
        if identifier is None:
            prepare_out(StateFolder(Path(self.settings.state_dir)).outputs(name))
            identifier = self.client.create_container_from_config(body, device_name(self.settings, device))["Id"]
        if self.start:
            self._start(identifier)

    def read_back(self, results: dict[str, dict[str, Any]]) -> None:
        """A container that ended at once did start as far as the Engine is concerned: look again, in one call."""
        if self.check or not self.start:
            return
        now = {
            entry["Labels"].get(LABEL_DEVICE, ""): entry
            for entry in list_containers(self.client, run_filter(self.settings.run, KIND_DEVICE))
        }
        for name, result in results.items():
            if name not in self.wanted or result["failed"] or not result["changed"]:
                continue
            entry = now.get(name)
            if entry is None or entry["State"] != "running":
                said = last_lines(self.client, entry["Id"]) if entry else "its container is gone"
                result.update(failed=True, changed=False, msg=f"ended right after its start: {said}")

    def _body(self, device: dict[str, Any]) -> dict[str, Any]:
        if device["image"] not in self.settings.images:
            raise DeviceFailedError(
                "image {} is not among the built ones ({}): run the images stage".format(
                    device["image"], ", ".join(sorted(self.settings.images)) or "none"
                )
            )
        if (device["read_bps"] or device["write_bps"]) and self.disk is None:
            raise DeviceFailedError(
                "block I/O limits are asked for, but no disk is found under Docker's folder "
                f"{self.settings.docker_root}: take read_bps and write_bps out of the device type"
            )
        return device_container(self.settings, device, self.disk)

    def _image_id(self, logical: str) -> str | None:
        reference = self.settings.images.get(logical)
        if reference is None:
            return None
        try:
            return str(self.client.inspect_image(reference)["Id"])
        except NotFound:
            if self.check:
                return None
            self.module.fail_json(msg=f"image {reference} is not on this lab host: run the images stage")

    def _remove(self, identifier: str) -> None:
        if not self.check:
            self.client.remove_container(identifier, force=True, v=True)

    def _start(self, identifier: str) -> None:
        try:
            self.client.start(identifier)
        except APIError as error:
            raise DeviceFailedError(f"cannot be started: {explain(error)}") from error


def present(module: AnsibleModule, client: Any, run: str) -> None:
    try:
        content = read_device_file(module.params["device_file"], run)
        selected = select_devices(content, module.params["devices"])
    except DeviceFileError as error:
        module.fail_json(msg=str(error))
    begun = time.monotonic()
    job = Present(module, client, content, selected)
    names = list(job.wanted)
    if not module.params["devices"]:
        names += sorted(name for name in job.existing if name not in job.wanted)
    results = each_device(names, job.work)
    job.read_back(results)
    finish(module, results, "devices", seconds={"create_and_start": round(time.monotonic() - begun, 2)})


def absent(module: AnsibleModule, client: Any, run: str) -> None:
    found = {
        entry["Labels"].get(LABEL_DEVICE) or entry["Id"]: entry["Id"]
        for entry in list_containers(client, run_filter(run, KIND_DEVICE))
    }
    chosen = [name for name in sorted(found) if matches(name, module.params["devices"])]

    def remove(name: str, differences: Differences) -> None:
        differences.add("state", "present", "absent")
        if module.check_mode:
            return
        try:
            client.remove_container(found[name], force=True, v=True)
        except NotFound:
            return
        shutil.rmtree(StateFolder(Path(module.params["state_dir"])).outputs(name), ignore_errors=True)

    finish(module, each_device(chosen, remove), "devices")


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        supports_check_mode=True,
        required_if=[("state", "present", ["device_file"]), ("state", "started", ["device_file"])],
    )
    try:
        run = check_run(module.params["run"])
    except ValueError as error:
        module.fail_json(msg=str(error))
    client = connect_or_fail(module)
    try:
        if module.params["state"] == "absent":
            absent(module, client, run)
        else:
            present(module, client, run)
    except APIError as error:
        module.fail_json(msg=f"devices of run {run}: {explain(error)}")
    finally:
        client.close()


if __name__ == "__main__":
    main()
