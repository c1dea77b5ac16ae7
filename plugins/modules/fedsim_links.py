#!/usr/bin/python
"""Connect a lab host's devices and shape their links."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_links
short_description: Connect a lab host's devices and shape their links
description:
  - Calls the run's agent, which connects the devices to the run's network (M(fedsim.testbed.fedsim_network)) and brings
    their links to what the device file says. Only the agent applies ip and tc; it reads, compares, changes, reads back,
    and answers with what differed.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
  - fedsim.testbed.docker
  - fedsim.testbed.run
  - fedsim.testbed.run.devices
attributes:
  check_mode:
    support: full
    details: The agent compares and changes nothing.
  diff_mode:
    support: full
    details: Each item that differs, before and after, by device.
options:
  device_file:
    description: Device file on the lab host.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Links of all devices
  fedsim.testbed.fedsim_links:
    run: quickstart
    device_file: /var/lib/fedsim/quickstart/device_file.json
"""

RETURN = r"""
backend:
  description: The link back end in use.
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

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._agent_control import call_agent
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.agent_calls import ApplyLinks
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import agent_name
from ansible_collections.fedsim.testbed.plugins.module_utils._device_file import read_device_file, select_devices
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import inspect_or_none
from ansible_collections.fedsim.testbed.plugins.module_utils._module import (
    DEVICES,
    DOCKER,
    RUN,
    Call,
    Module,
    build_device_answer,
    run_module,
)

ARGUMENTS: dict[str, Any] = {
    "device_file": {"type": "path", "required": True},
    **RUN,
    **DEVICES,
    **DOCKER,
}


def build_link_results(names: Sequence[str], answer: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """Return one result per device.

    The agent compares and applies, with and without check mode; this only reads its answer.

    Args:
        names: the selected devices.
        answer: the agent's answer; None if there is no agent yet, so that all links are still to be shaped.
    """
    if answer is None:
        item = {"item": "link", "before": None, "after": "as in the device file"}
        return {name: {"changed": True, "failed": False, "msg": None, "diff": [item]} for name in names}
    results = {
        name: {
            "changed": bool(found["changed"]),
            "failed": found["failed"] is not None,
            "msg": found["failed"],
            "diff": found.get("diff") or [],
        }
        for name, found in answer["devices"].items()
    }
    unknown = {"changed": False, "failed": True, "msg": "the agent does not know it", "diff": []}
    return {**results, **{name: dict(unknown) for name in names if name not in results}}


def work(call: Call) -> dict[str, Any]:
    content = read_device_file(call.params["device_file"], call.run)
    names = [device["name"] for device in select_devices(content, call.params["devices"])]
    agent = agent_name(call.run)
    if call.check and inspect_or_none(call.client, agent) is None:
        return build_device_answer("links", build_link_results(names, None), backend=None)
    chosen = tuple(names) if call.params["devices"] else None
    answer = call_agent(call.client, agent, ApplyLinks(call.check, chosen))
    return build_device_answer(
        "links", build_link_results(names, answer), changed=answer["changed"], backend=answer.get("backend")
    )


MODULE = Module(ARGUMENTS, work, "links of run {run}", engine=True)


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
