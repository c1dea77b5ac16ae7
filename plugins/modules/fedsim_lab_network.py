#!/usr/bin/python
"""The lab hosts of a run as one network."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fedsim_lab_network
short_description: Join the lab hosts of a run
description:
  - Has the run's agent on each lab host make the devices of all of them one network, over VXLAN between the lab hosts.
    Docker's networks have no part in it.
  - Without O(offers) it only returns what the lab host can offer the others, namely free VXLAN ids and the largest
    packet that reaches them. With the offers of all, every lab host finds the same id and MTU by itself, so nobody has
    to coordinate them.
  - A run on one lab host is left as it is.
author: fedsim-runner (@fedsim-runner)
extends_documentation_fragment:
  - fedsim.testbed.attributes
  - fedsim.testbed.docker
  - fedsim.testbed.run
attributes:
  check_mode:
    support: full
    details: The agent compares and changes nothing. Without an agent nothing is compared.
  diff_mode:
    support: none
options:
  device_file:
    description: Device file on the lab host.
    type: path
    required: true
  port:
    description:
      - UDP port on which lab hosts receive what devices send to each other. It is the same on all lab hosts, and may be
        the same for any number of runs.
    type: int
    default: 14789
  offers:
    description: What this module has returned as RV(offer) on each lab host of the run.
    type: list
    elements: dict
"""

EXAMPLES = r"""
- name: What each lab host offers
  fedsim.testbed.fedsim_lab_network:
    run: quickstart
    device_file: /var/lib/fedsim/quickstart/device_file.json
  register: lab_network

- name: One network
  fedsim.testbed.fedsim_lab_network:
    run: quickstart
    device_file: /var/lib/fedsim/quickstart/device_file.json
    offers: "{{ ansible_play_hosts | map('extract', hostvars, ['lab_network', 'offer']) | select | list }}"
"""

RETURN = r"""
offer:
  description: What the lab host offers; null if the run has no other.
  returned: without O(offers)
  type: dict
  sample: {"lab_host": "north", "ids": [5376, 40192], "mtu": 1500, "backend": "netem"}
settled:
  description: What all lab hosts of the run use.
  returned: with O(offers), if the run has several lab hosts
  type: dict
  sample: {"vxlan_id": 5376, "mtu": 1450, "backends": {"north": "netem", "south": "netem"}, "keys": {}}
"""

from typing import Any

from ansible_collections.fedsim.testbed.plugins.module_utils._agent_control import call_agent
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.agent_calls import JoinLab, OfferLab
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.device_file import Lab
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.lab_network import PORT, Offer, settle
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.names import agent_name
from ansible_collections.fedsim.testbed.plugins.module_utils._contract.typed_json import dump, load
from ansible_collections.fedsim.testbed.plugins.module_utils._device_file import read_device_file
from ansible_collections.fedsim.testbed.plugins.module_utils._difference import Differences
from ansible_collections.fedsim.testbed.plugins.module_utils._docker import inspect_or_none
from ansible_collections.fedsim.testbed.plugins.module_utils._module import (
    DOCKER,
    RUN,
    Call,
    Module,
    build_answer,
    run_module,
)

ARGUMENTS: dict[str, Any] = {
    "device_file": {"type": "path", "required": True},
    "port": {"type": "int", "default": PORT},
    "offers": {"type": "list", "elements": "dict"},
    **RUN,
    **DOCKER,
}


def work(call: Call) -> dict[str, Any]:
    agent, port, offers = agent_name(call.run), call.params["port"], call.params["offers"]
    differences = Differences()
    lab = read_device_file(call.params["device_file"], call.run).get("lab")
    if lab is None:
        return {**build_answer("lab network", call.run, differences), "offer": None}
    if call.check and inspect_or_none(call.client, agent) is None:
        differences.add("lab hosts", "not joined", "joined")
        return {**build_answer("lab network", call.run, differences), "offer": None}
    if offers is None:
        offer = call_agent(call.client, agent, OfferLab(port))
        return {**build_answer("lab network", call.run, differences), "offer": offer}
    settled = settle(call.run, load(Lab, lab, "lab"), [load(Offer, offer, "offers") for offer in offers])
    answer = call_agent(call.client, agent, JoinLab(settled, port, call.check))
    if answer["note"] is not None:
        call.warn(answer["note"])
    for text in answer["differences"]:
        differences.add("lab network", text, "as settled")
    return {**build_answer("lab network", call.run, differences), "settled": dump(settled)}


MODULE = Module(ARGUMENTS, work, "network between the lab hosts of run {run}", engine=True)


def main() -> None:
    run_module(MODULE)


if __name__ == "__main__":
    main()
