#!/usr/bin/python
"""The shaped links of a lab host's devices."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fedsim.testbed.plugins.module_utils._batch import finish
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.agent_calls import ApplyLinks
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import agent_name, check_run
from ansible_collections.fedsim.testbed.plugins.module_utils._device_file import (
    DeviceFileError,
    read_device_file,
    select_devices,
)
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import (
    DOCKER_ARGUMENTS,
    EngineError,
    agent_control,
    connect_or_fail,
    inspect_or_none,
)

DOCUMENTATION = r"""
module: fedsim_links
short_description: Shape the links of a lab host's devices
description:
  - Asks the run's agent to bring the links of the devices to what the device file says. The agent alone applies tc; it
    reads, compares, changes, reads back, and answers with what differed.
author: fedsim-runner (@fedsim-runner)
requirements: ["Docker SDK for Python"]
attributes:
  check_mode:
    support: full
    description: The agent compares and changes nothing.
  diff_mode:
    support: full
    description: Before and after of each item that differs, by device.
options:
  run:
    description: Run id.
    type: str
    required: true
  device_file:
    description: Device file on the lab host.
    type: path
    required: true
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
- name: Links of all devices
  fedsim.testbed.fedsim_links:
    run: quickstart
    device_file: /var/lib/fedsim/quickstart/device_file.json
"""

RETURN = r"""
backend:
  description: What holds the links.
  returned: always
  type: str
  sample: netem
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
"""

ARGUMENTS: dict[str, Any] = {
    "run": {"type": "str", "required": True},
    "device_file": {"type": "path", "required": True},
    "devices": {"type": "str", "default": ""},
    **DOCKER_ARGUMENTS,
}


def to_be_shaped(names: list[str]) -> dict[str, Any]:
    """The answer of check mode before there is an agent to ask."""
    item = {"item": "link", "before": None, "after": "as in the device file"}
    return {name: {"changed": True, "failed": False, "msg": None, "diff": [item]} for name in names}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        run = check_run(module.params["run"])
        content = read_device_file(module.params["device_file"], run)
        names = [device["name"] for device in select_devices(content, module.params["devices"])]
    except (ValueError, DeviceFileError) as error:
        module.fail_json(msg=str(error))
    client = connect_or_fail(module)
    try:
        if module.check_mode and inspect_or_none(client, agent_name(run)) is None:
            finish(module, to_be_shaped(names), "links", backend=None)
        chosen = tuple(names) if module.params["devices"] else None
        answer = agent_control(client, agent_name(run), ApplyLinks(module.check_mode, chosen))
    except EngineError as error:
        module.fail_json(msg=str(error))
    finally:
        client.close()
    results = {
        name: {
            "changed": bool(found["changed"]),
            "failed": found["failed"] is not None,
            "msg": found["failed"],
            "diff": found.get("diff") or [],
        }
        for name, found in answer["devices"].items()
    }
    for name in names:
        if name not in results:
            results[name] = {
                "changed": False,
                "failed": True,
                "msg": "the agent does not know it",
                "diff": [],
            }
    finish(module, results, "links", backend=answer.get("backend"), changed=answer["changed"])


if __name__ == "__main__":
    main()
