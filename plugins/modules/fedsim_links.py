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
  - With O(measure) the agent then measures the links, as the device file's C(verify) says (V(warn), V(strict),
    V(sample) or V(off)), but not those that it has measured since they were last changed and that were not out. Only
    with V(strict) does a link that is not as requested fail the module. Measuring changes nothing.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
  - fedsim.testbed.docker
  - fedsim.testbed.run
  - fedsim.testbed.run.devices
attributes:
  check_mode:
    support: full
    details: The agent compares and changes nothing, and measures nothing.
  diff_mode:
    support: full
    details: Each item that differs, before and after, by device.
options:
  device_file:
    description: Device file on the lab host.
    type: path
    required: true
  measure:
    description: Whether to measure the links, too. A testbed that only waits at the gate need not be measured.
    type: bool
    default: true
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
measured:
  description: What links were measured to be, one entry for each device and direction.
  returned: when they were measured
  type: list
  elements: dict
  sample: [{"device": "pi-1", "direction": "up", "delay_asked_us": 35000, "delay_us": 35420, "verdict": "within"}]
failed_devices:
  description: Names of the devices that failed.
  returned: always
  type: list
  elements: str
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._agent_control import call_agent
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.agent_calls import ApplyLinks, MeasureLinks
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.errors import Exit
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.link_verdict import OUT
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import agent_name
from ansible_collections.fedsim.testbed.plugins.module_utils._device_file import read_device_file, select_devices
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import EngineError, inspect_or_none
from ansible_collections.fedsim.testbed.plugins.module_utils._module import (
    DEVICES,
    DOCKER,
    RUN,
    Call,
    FailedError,
    Module,
    build_device_answer,
    run_module,
)

ARGUMENTS: dict[str, Any] = {
    "device_file": {"type": "path", "required": True},
    "measure": {"type": "bool", "default": True},
    **RUN,
    **DEVICES,
    **DOCKER,
}


#: Of the edges that are not as requested, so many are named.
NAMED = 5


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


def fail_links(results: Mapping[str, dict[str, Any]], measured: Sequence[Mapping[str, Any]]) -> list[str]:
    """Fail the devices with a link that is not as requested, each with its direction and reason.

    Returns:
        The edges that are not, which belong to no device, each with the same.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for entry in measured:
        if entry["verdict"] == OUT:
            found.setdefault(entry["device"], []).append((entry["direction"], entry["reason"]))
    edges = []
    for name, reasons in found.items():
        if name in results:
            msg = "; ".join(f"{direction}link: {reason}" for direction, reason in reasons)
            results[name] |= {"failed": True, "msg": msg}
        else:
            edges.append(f"edge {name}, {'; '.join(f'{direction}: {reason}' for direction, reason in reasons)}")
    return edges


def work(call: Call) -> dict[str, Any]:
    content = read_device_file(call.params["device_file"], call.run)
    names = [device["name"] for device in select_devices(content, call.params["devices"])]
    agent = agent_name(call.run)
    if call.check and inspect_or_none(call.client, agent) is None:
        return build_device_answer("links", build_link_results(names, None), backend=None)
    chosen = tuple(names) if call.params["devices"] else None
    answer = call_agent(call.client, agent, ApplyLinks(call.check, chosen))
    for note in answer.get("delays_off", ()):
        call.warn(note)
    results = build_link_results(names, answer)
    values: dict[str, Any] = {"backend": answer.get("backend")}
    verify = content.get("verify", "warn") if call.params["measure"] and not call.check else "off"
    if verify != "off" and not any(result["failed"] for result in results.values()):
        try:
            found = call_agent(call.client, agent, MeasureLinks(False, chosen))
        except EngineError as error:
            found = {"links": [], "reason": str(error)}
        values["measured"] = found["links"]
        if found["reason"] is not None:
            text = f"links of run {call.run} were not measured: {found['reason']}"
            if verify == "strict":
                raise FailedError(text, fedsim_exit_code=int(Exit.LINKS))
            call.warn(text)
        elif verify == "strict":
            edges = fail_links(results, values["measured"])
            if edges or any(result["failed"] for result in results.values()):
                values["fedsim_exit_code"] = int(Exit.LINKS)
            if edges and not any(result["failed"] for result in results.values()):
                more = "" if len(edges) <= NAMED else f"; and {len(edges) - NAMED} more"
                text = f"{'; '.join(edges[:NAMED])}{more}"
                raise FailedError(text, devices=results, failed_devices=[], changed=answer["changed"], **values)
    return build_device_answer("links", results, changed=answer["changed"], **values)


MODULE = Module(ARGUMENTS, work, "links of run {run}", engine=True)


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
